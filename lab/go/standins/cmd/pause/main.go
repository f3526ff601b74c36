// Command pause is the process that holds a pod's sandbox: it waits, and reaps what is left to it.
package main

import "git-to-pod/lab/standins/internal/reaper"

func main() {
	reaper.Wait()
}
