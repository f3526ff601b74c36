//go:build tools

// Package gitea pins a full git service for the tests of providers, built by lab/build.py when it is asked for.
package gitea

import _ "gitea.dev"
