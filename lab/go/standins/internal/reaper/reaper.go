// Package reaper implements the duties of a container's first process: it reaps orphans and forwards signals.
package reaper

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Rerun starts this program again as a child, acts as its init process and returns the child's exit code.
// The first process cannot do the work itself, because reaping orphans would take the exit status of its own commands.
func Rerun() (int, error) {
	signals := subscribe()
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return 0, err
	}
	for sig := range signals {
		if sig != syscall.SIGCHLD {
			_ = child.Process.Signal(sig)
		}
		if status, ended := reap(child.Process.Pid); ended {
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
	}
	return 0, nil
}

// Wait reaps orphans until SIGTERM or SIGINT arrives.
func Wait() {
	for sig := range subscribe() {
		if sig != syscall.SIGCHLD {
			return
		}
		reap(0)
	}
}

func subscribe() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	return signals
}

// reap collects every child that has ended, because one SIGCHLD can stand for several. It reports whether pid ended.
func reap(pid int) (status syscall.WaitStatus, ended bool) {
	for {
		var one syscall.WaitStatus
		got, err := syscall.Wait4(-1, &one, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || got <= 0:
			return status, ended
		case got == pid:
			status, ended = one, true
		}
	}
}
