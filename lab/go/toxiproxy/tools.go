//go:build tools

// Package toxiproxy pins the proxy that stands between the cluster and the git host, built by lab/build.py.
package toxiproxy

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
