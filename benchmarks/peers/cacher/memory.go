// What the Cacher holds: objects, history and watches, in bytes of Go's heap and stacks after a collection.
package main

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
)

var stored = protobuf.NewSerializer(newScheme(), newScheme())

// fresh is a pod as it comes from a store: decoded, so that no text in it is shared with another one.
func fresh(number int) *v1.Pod {
	var written bytes.Buffer
	must(stored.Encode(listed(number), &written))
	decoded, _, err := stored.Decode(written.Bytes(), nil, &v1.Pod{})
	must(err)
	return decoded.(*v1.Pod)
}

func measureMemory(objects, watchers int) result {
	before := heap()
	below := &source{stream: make(chan watch.Event)}
	for number := range objects {
		below.pods = append(below.pods, fresh(number))
	}
	below.at = uint64(objects)
	made := newCacher(below)
	below.pods = nil // what the cacher holds is all that is left
	withObjects := heap()
	feeding := &feeder{below: below, next: below.at, cacher: made}
	for number := range history {
		copied := fresh(number % objects)
		feeding.next++
		copied.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		below.stream <- watch.Event{Type: watch.Modified, Object: copied}
	}
	feeding.waitUntilTaken()
	withHistory := heap()
	opened := make([]watch.Interface, 0, watchers)
	for range watchers {
		opts := options("all", 0)
		opts.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		one, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		opened = append(opened, one)
	}
	time.Sleep(100 * time.Millisecond) // every watch has started its goroutines
	withWatches := heap()
	runtime.KeepAlive(opened)
	runtime.KeepAlive(made)
	return result{
		Select: "memory", Watchers: watchers, Events: history,
		HeapObject: (withObjects - before) / float64(objects), HeapEvent: (withHistory - withObjects) / history,
		HeapWatch: (withWatches - withHistory) / float64(max(watchers, 1)),
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}
