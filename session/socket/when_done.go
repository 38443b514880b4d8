package socket

import "context"

// WhenDone runs f once ctx has ended. After stop has returned f neither runs nor
// will.
func WhenDone(ctx context.Context, f func()) (stop func()) {
	finished := make(chan struct{})
	prevent := context.AfterFunc(ctx, func() { defer close(finished); f() })
	return func() {
		if !prevent() {
			<-finished
		}
	}
}
