//go:build tools

// Package tools pins the IPFS Cluster whose pinning service the tests speak to: in this folder,
// `go build github.com/ipfs-cluster/ipfs-cluster/cmd/ipfs-cluster-service`.
package tools

import _ "github.com/ipfs-cluster/ipfs-cluster/cmd/ipfs-cluster-service"
