//go:build tools

// Package tools pins the Kubo that the tests compare with: `go build github.com/ipfs/kubo/cmd/ipfs` in this folder.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs"
