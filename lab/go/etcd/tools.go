//go:build tools

// Package etcd pins the node's etcd, which lab/build.py builds from this module.
package etcd

import _ "go.etcd.io/etcd/server/v3"
