// How fast a watch from the past catches up with a full history.
package main

import (
	"context"
	"sort"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const replays = 5

func measureReplay(selects string, groups int) result {
	below := &source{stream: make(chan watch.Event), pods: podsOf(asked{objects: podsAtLeast}, groups)}
	below.at = uint64(len(below.pods))
	made := newCacher(below)
	feeding := &feeder{below: below, next: below.at, cacher: made}
	for number := range history + podsAtLeast {
		feeding.feed(number % len(below.pods))
	}
	feeding.waitUntilTaken()
	events := history - podsAtLeast // what the history has for certain
	wanted := events
	if selects != "all" {
		wanted = events / groups
	}
	var took []float64
	cpu := cpuSeconds()
	for range replays {
		began := time.Now()
		opts := options(selects, 0)
		opts.ResourceVersion = strconv.FormatUint(feeding.next-uint64(events), 10)
		opened, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		length := 0
		for range wanted {
			event := <-opened.ResultChan()
			length += len(event.Object.(metav1.Object).GetResourceVersion())
		}
		took = append(took, time.Since(began).Seconds())
		opened.Stop()
	}
	sort.Float64s(took)
	return result{Select: selects, Watchers: 1, Events: events, Seconds: took[len(took)/2], CPU: (cpuSeconds() - cpu) / replays}
}
