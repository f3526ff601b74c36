module git-to-pod/lab/standins

go 1.26
