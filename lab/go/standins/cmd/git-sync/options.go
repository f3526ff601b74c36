package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// options holds the settings that this project uses. The environment gives most of them; a flag overrides it.
type options struct {
	version          bool
	root             string
	link             string
	maxFailures      int
	initMaxFailures  int
	initLimitIsSet   bool
	exechookCommand  string
	exechookBackoff  time.Duration
	httpBind         string
	submodules       string
	repo             string
	ref              string
	period           time.Duration
	syncTimeout      time.Duration
	username         string
	passwordFile     string
	gitConfig        []setting
	sshKeyFile       string
	sshKnownHostFile string
}

// setting is one entry of git's configuration.
type setting struct{ key, value string }

// parseOptions reads the arguments and the GITSYNC_ variables. It rejects any that the stand-in does not implement.
func parseOptions(arguments, environment []string) (options, error) {
	o := options{
		ref:              "HEAD",
		period:           10 * time.Second,
		syncTimeout:      2 * time.Minute,
		submodules:       "recursive",
		sshKeyFile:       "/etc/git-secret/ssh",
		sshKnownHostFile: "/etc/git-secret/known_hosts",
	}
	if err := o.readEnvironment(environment); err != nil {
		return o, err
	}
	flags := flag.NewFlagSet("git-sync", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error below is one line
	flags.BoolVar(&o.version, "version", false, "")
	flags.StringVar(&o.root, "root", o.root, "")
	flags.StringVar(&o.link, "link", o.link, "")
	flags.IntVar(&o.maxFailures, "max-failures", o.maxFailures, "")
	flags.IntVar(&o.initMaxFailures, "init-max-failures", o.initMaxFailures, "")
	flags.StringVar(&o.exechookCommand, "exechook-command", "", "")
	flags.DurationVar(&o.exechookBackoff, "exechook-backoff", 3*time.Second, "")
	flags.StringVar(&o.httpBind, "http-bind", "", "")
	err := flags.Parse(arguments)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		var known []string
		flags.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
		return o, fmt.Errorf("%w: the stand-in implements only %s; use the upstream image for other flags",
			err, strings.Join(known, " "))
	}
	flags.Visit(func(f *flag.Flag) { o.initLimitIsSet = o.initLimitIsSet || f.Name == "init-max-failures" })
	if o.link == "" {
		o.link = path.Base(o.repo)
	}
	return o, nil
}

func (o *options) readEnvironment(environment []string) error {
	texts := map[string]*string{
		"GITSYNC_ROOT":                 &o.root, // the image sets it
		"GITSYNC_LINK":                 &o.link,
		"GITSYNC_REPO":                 &o.repo,
		"GITSYNC_REF":                  &o.ref,
		"GITSYNC_USERNAME":             &o.username,
		"GITSYNC_PASSWORD_FILE":        &o.passwordFile,
		"GITSYNC_SUBMODULES":           &o.submodules,
		"GITSYNC_SSH_KEY_FILE":         &o.sshKeyFile,
		"GITSYNC_SSH_KNOWN_HOSTS_FILE": &o.sshKnownHostFile,
	}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		var err error
		switch text := texts[name]; {
		case text != nil:
			*text = value
		case name == "GITSYNC_PERIOD":
			o.period, err = time.ParseDuration(value)
		case name == "GITSYNC_SYNC_TIMEOUT":
			o.syncTimeout, err = time.ParseDuration(value)
		case name == "GITSYNC_MAX_FAILURES":
			o.maxFailures, err = strconv.Atoi(value)
		case name == "GITSYNC_INIT_MAX_FAILURES":
			o.initMaxFailures, err = strconv.Atoi(value)
			o.initLimitIsSet = true
		case name == "GITSYNC_GIT_CONFIG":
			o.gitConfig, err = parseGitConfig(value)
		case strings.HasPrefix(name, "GITSYNC_"), strings.HasPrefix(name, "GIT_SYNC_"):
			// The message omits the value, which may be a secret under a misspelled name.
			err = errors.New("the stand-in does not implement this variable; use the upstream image")
		}
		if err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	return nil
}

// parseGitConfig reads `key:value,key:value`. It rejects quotes and escapes, which upstream accepts.
func parseGitConfig(text string) ([]setting, error) {
	if strings.ContainsAny(text, `"\`) {
		return nil, errors.New(`the stand-in does not support quotes and backslashes, expected key:value,key:value`)
	}
	var settings []setting
	for _, pair := range strings.Split(text, ",") {
		key, value, found := strings.Cut(pair, ":")
		if !found || key == "" || value == "" {
			return nil, fmt.Errorf("%q is not key:value", pair)
		}
		settings = append(settings, setting{key, value})
	}
	return settings, nil
}

// validate checks the values.
func (o *options) validate() error {
	parsed, err := url.Parse(o.repo) // an error is fine: git@host:path is valid and not a URL
	switch {
	case o.root == "":
		return errors.New("GITSYNC_ROOT or --root is missing")
	case o.repo == "":
		return errors.New("GITSYNC_REPO is missing")
	case o.ref == "":
		return errors.New("GITSYNC_REF is empty")
	case o.submodules != "recursive" && o.submodules != "off":
		return fmt.Errorf("GITSYNC_SUBMODULES is %q, the stand-in implements only recursive and off", o.submodules)
	case o.period < 10*time.Millisecond:
		return fmt.Errorf("GITSYNC_PERIOD is %s, expected 10ms or more", o.period)
	case o.syncTimeout < 10*time.Millisecond:
		return fmt.Errorf("GITSYNC_SYNC_TIMEOUT is %s, expected 10ms or more", o.syncTimeout)
	case o.exechookCommand != "" && o.exechookBackoff < time.Second:
		return fmt.Errorf("--exechook-backoff is %s, expected 1s or more", o.exechookBackoff)
	case (o.username == "") != (o.passwordFile == ""):
		return errors.New("GITSYNC_USERNAME and GITSYNC_PASSWORD_FILE must be set together")
	case err == nil && parsed.User != nil && strings.HasPrefix(parsed.Scheme, "http"):
		return errors.New("GITSYNC_REPO contains credentials, which arguments and logs would show; " +
			"use GITSYNC_USERNAME and GITSYNC_PASSWORD_FILE")
	}
	return nil
}

// failureLimit is the number of consecutive failures after which the program exits. A negative limit means never.
func (o *options) failureLimit(first bool) int {
	if first && o.initLimitIsSet {
		return o.initMaxFailures
	}
	return o.maxFailures
}
