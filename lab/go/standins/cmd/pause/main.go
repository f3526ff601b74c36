// Command pause holds a pod's sandbox. It waits, and it reaps orphaned processes.
package main

import "git-to-pod/lab/standins/internal/reaper"

func main() {
	reaper.Wait()
}
