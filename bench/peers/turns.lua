-- wrk: all targets of a file in turn, one target a line; with a second argument "query", a random query on each.
-- Requests are made before the first one is sent, but for the query.
local heads, tails, count, at, queries = {}, {}, 0, 0, false

function init(args)
  queries = args[2] == "query"
  math.randomseed(os.time())
  for target in io.lines(args[1]) do
    count = count + 1
    local request = wrk.format("GET", target)
    local first = "GET " .. target
    heads[count] = queries and first .. "?v=" or request
    tails[count] = request:sub(#first + 1)
  end
end

function request()
  at = at % count + 1
  if queries then
    return heads[at] .. math.random(1000000000) .. tails[at]
  end
  return heads[at]
end

dofile(os.getenv("RIM_BENCH_PEERS") .. "/fixed.lua")
