// Linux can end the server when the thread that started it ends.
package pooltest

import "syscall"

// dieWithParent makes the kernel send the postmaster an immediate shutdown when its parent dies.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGQUIT }
