// Lists as a server asks for them: through the delegator that decides between cache and store, into a typed list.
//
// The store below answers how far it is and nothing else: a list that passed the cache by would fail.
package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
)

const (
	pageSize   = 500
	eventsBack = 1000
	writePause = 2 * time.Millisecond
	rowTime    = 600 * time.Millisecond
	callsLeast = 5
	callsMost  = 3000
)

func listed(number int) *v1.Pod {
	made := pod(number, 1000)
	made.Name = fmt.Sprintf("pod-%06d", number)
	made.Namespace = fmt.Sprintf("ns-%d", number%1000)
	if number%10 == 0 {
		made.Namespace = "tenth"
	}
	made.Labels["tier"] = fmt.Sprintf("tier-%d", number%10)
	return made
}

// capable says that the store below has what every etcd of today has: consistent lists come from the cache then.
type capable struct {
	etcdfeature.FeatureSupportChecker
}

func (capable) Supports(storage.Feature) bool { return true }

type lister struct {
	storage *cacher.CacheDelegator
	below   *source
	feeding *feeder
}

func everything() storage.SelectionPredicate {
	return storage.SelectionPredicate{
		Label: labels.Everything(), Field: fields.Everything(), GetAttrs: attributes, IndexFields: []string{nodeField},
	}
}

func (l *lister) list(key string, options storage.ListOptions) *v1.PodList {
	options.Recursive = true
	found := &v1.PodList{}
	must(l.storage.GetList(context.Background(), key, options, found))
	return found
}

func (l *lister) pages() {
	predicate := everything()
	predicate.Limit = pageSize
	count := 0
	for {
		page := l.list(prefix, storage.ListOptions{Predicate: predicate})
		count += len(page.Items)
		if page.Continue == "" {
			break
		}
		predicate.Continue = page.Continue
	}
	if count != len(l.below.pods) {
		must(fmt.Errorf("pages had %d objects of %d", count, len(l.below.pods)))
	}
}

// past lists as it was 1,000 events ago.
func (l *lister) past(key string, limit int64) {
	predicate := everything()
	predicate.Limit = limit
	at, err := l.feeding.cacher.LastSyncResourceVersion()
	must(err)
	l.list(key, storage.ListOptions{
		Predicate: predicate, ResourceVersion: strconv.FormatUint(at-eventsBack, 10), ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	})
}

func (l *lister) write() {
	l.feeding.feed(int(l.feeding.next*7919) % len(l.below.pods))
	l.below.now.Store(l.feeding.next)
}

func measureLists(objects int) result {
	etcdfeature.DefaultFeatureSupportChecker = capable{etcdfeature.DefaultFeatureSupportChecker}
	below := &source{stream: make(chan watch.Event)}
	for number := range objects {
		below.pods = append(below.pods, listed(number))
	}
	below.at = uint64(objects)
	below.now.Store(below.at)
	made := newCacher(below)
	l := &lister{below: below, feeding: &feeder{below: below, next: below.at, cacher: made}}
	l.storage = cacher.NewCacheDelegator(made, below)
	below.isClosed.Store(true)
	anyAge := storage.ListOptions{ResourceVersion: "0", Predicate: everything()}
	byField, byLabel := anyAge, anyAge
	byField.Predicate.Field = fields.OneTermEqualSelector(nodeField, "node-7")
	byLabel.Predicate.Label = labels.SelectorFromSet(labels.Set{"app": "app-7"})
	found := map[string]float64{
		"everything":                      row(func() { l.list(prefix, anyAge) }),
		"namespace, 1/10":                 row(func() { l.list(prefix+"tenth/", anyAge) }),
		"namespace, 1/1000":               row(func() { l.list(prefix+"ns-7/", anyAge) }),
		"namespace, 1/1000, consistent *": row(func() { l.list(prefix+"ns-7/", storage.ListOptions{Predicate: everything()}) }),
		"field, 1/1000, indexed":          row(func() { l.list(prefix, byField) }),
		"label, 1/1000":                   row(func() { l.list(prefix, byLabel) }),
		"all pages of 500 *":              row(l.pages),
		"get": row(func() {
			key := prefix + "ns-7/pod-001007"
			must(l.storage.Get(context.Background(), key, storage.GetOptions{ResourceVersion: "0"}, &v1.Pod{}))
		}),
	}
	for range eventsBack + 100 {
		l.write()
	}
	l.feeding.waitUntilTaken()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(writePause):
				l.write()
			}
		}
	}()
	found["everything, 1,000 events ago"] = row(func() { l.past(prefix, 0) })
	found["namespace, 1/10, 1,000 events ago"] = row(func() { l.past(prefix+"tenth/", 0) })
	found["page of 500, 1,000 events ago"] = row(func() { l.past(prefix, pageSize) })
	close(stop)
	<-stopped
	return result{Select: "lists", Events: objects, Lists: found}
}

// row is the median of many calls, in seconds.
func row(call func()) float64 {
	call()
	var taken []float64
	for until := time.Now().Add(rowTime); len(taken) < callsLeast || (len(taken) < callsMost && time.Now().Before(until)); {
		began := time.Now()
		call()
		taken = append(taken, time.Since(began).Seconds())
	}
	slices.Sort(taken)
	return taken[len(taken)/2]
}
