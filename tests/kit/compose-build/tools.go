//go:build tools

// Package tools pins the Docker Compose that reads deploy/compose: `go build github.com/docker/compose/v5/cmd` in this folder.
package tools

import _ "github.com/docker/compose/v5/cmd"
