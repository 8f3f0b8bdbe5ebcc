// One month, day by day.
import { createElement as h, useState } from "react";
import dayjs from "dayjs";
export default function Calendar() {
  const [month, turn] = useState(dayjs().startOf("month"));
  const days = Array.from({ length: month.daysInMonth() }, (_, n) => month.add(n, "day"));
  return h("section", null,
    h("button", { className: "btn btn-primary", onClick: () => turn(month.add(1, "month")) }, "next"),
    h("h2", null, month.format("MMMM YYYY")),
    h("ol", null, days.map((day) => h("li", { key: day.date() }, day.format("ddd D")))));
}
