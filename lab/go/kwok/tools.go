//go:build tools

// Package kwok pins the controller that plays the kubelet of simulated nodes, built by lab/build.py.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
