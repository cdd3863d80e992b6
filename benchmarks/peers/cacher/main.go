// The real Kubernetes Cacher, fed in process: what `python -m benchmarks --only peers` is put beside.
//
// One run a process, one line of JSON on standard output:
//
//	cacher -select all -watchers 1000 -burst 250 -events 20000     fan-out
//	cacher -select all -watchers 1000 -rate 10000 -events 30000    the same, paced: how late each event is
//	cacher -lists 100000                                           lists of so many objects
//	cacher -memory 100000 -watchers 1000                           what so many objects take
//	cacher -replay 1000 -select namespace                          a watch from the past, over the whole history
//	cacher -etcd URL -events 100000 -puts 100                      ingest from a real etcd
//	cacher -etcd URL -events 100000 -write 100 -decode protobuf    who writes there
//
// A feeder hands over ready pods of 1 KB, all updates, `burst` at a time, and is never more than two bursts ahead of the
// slowest watcher (burst 0: as fast as they are taken). Each watcher is a goroutine that loops over its events and reads
// their resourceVersion. The history is full before the clock starts. With -decode each event is decoded from the bytes of
// a store first, as in a real server; -pods has pods of another size, a JSON object a line.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	prefix      = "/pods/"
	nodeField   = "spec.nodeName"
	objectBytes = 1000
	history     = 102_400 // what the history holds at most
	podsAtLeast = 1000
)

type result struct {
	Select     string  `json:"select"`
	Watchers   int     `json:"watchers"`
	Burst      int     `json:"burst"`
	Events     int     `json:"events"`
	Procs      int     `json:"procs"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_s"`
	Deliveries int64   `json:"deliveries"`
	Ended      int64   `json:"ended"`
	EndedSlow  int64   `json:"ended_slow"`
	P50        float64 `json:"p50_s"`
	P99        float64 `json:"p99_s"`
	HeapObject float64 `json:"heap_bytes_per_object,omitempty"`
	HeapEvent  float64 `json:"heap_bytes_per_event,omitempty"`
	HeapWatch  float64 `json:"heap_bytes_per_watch,omitempty"`
	Heap       float64 `json:"heap_bytes,omitempty"`

	Lists map[string]float64 `json:"lists_s,omitempty"`

	Go        string `json:"go"`
	Apiserver string `json:"apiserver"`
}

// source is the store below the cacher: a list of what there is, and one watch that the feeder writes.
type source struct {
	storage.Interface
	pods   []*v1.Pod
	at     uint64
	stream chan watch.Event

	now      atomic.Uint64 // the newest revision
	isClosed atomic.Bool   // to further lists: they are for the cache to answer
}

func (s *source) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (s *source) GetList(_ context.Context, _ string, _ storage.ListOptions, into kruntime.Object) error {
	if s.isClosed.Load() {
		return errors.New("a list passed the cache by")
	}
	list := into.(*v1.PodList)
	for _, pod := range s.pods {
		list.Items = append(list.Items, *pod)
	}
	list.ResourceVersion = strconv.FormatUint(s.at, 10)
	return nil
}

func (s *source) Watch(context.Context, string, storage.ListOptions) (watch.Interface, error) {
	return s, nil
}
func (s *source) ResultChan() <-chan watch.Event { return s.stream }

// IsWatchListSemanticsUnSupported says that a list is a list here, and not the beginning of a watch.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

func (s *source) Stop()                                               {}
func (s *source) ReadinessCheck() error                               { return nil }
func (s *source) RequestWatchProgress(context.Context) error          { return nil }
func (s *source) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }
func (s *source) CompactRevision() int64                              { return 0 }
func (s *source) GetCurrentResourceVersion(context.Context) (uint64, error) {
	return max(s.at, s.now.Load()), nil
}

// asked is what one process is to measure.
type asked struct {
	selects  string
	watchers int
	burst    int
	events   int
	slow     int
	rate     int
	objects  int
	pods     string
	decode   string
}

func main() {
	var what asked
	flag.StringVar(&what.selects, "select", "all", "all, node, namespace, label: what each watcher selects by")
	flag.IntVar(&what.watchers, "watchers", 100, "watchers")
	flag.IntVar(&what.burst, "burst", 250, "events that are handed over at once; 0: as fast as they are taken")
	flag.IntVar(&what.events, "events", 20_000, "events measured")
	flag.IntVar(&what.slow, "slow", 0, "one watcher in so many handles each event a hundred times slower than it arrives")
	flag.IntVar(&what.rate, "rate", 0, "events a second, one at a time, however far behind the watchers are; 0: by -burst")
	flag.IntVar(&what.objects, "objects", podsAtLeast, "pods, at least")
	flag.StringVar(&what.pods, "pods", "", "a file of pods, a JSON object a line, instead of those of 1 KB")
	flag.StringVar(&what.decode, "decode", "", "json, protobuf: decode every event; by default pods are handed over ready")
	memory := flag.Int("memory", 0, "measure memory with so many objects instead")
	lists := flag.Int("lists", 0, "measure lists of so many objects instead")
	etcd := flag.String("etcd", "", "measure ingest of -events from this etcd instead, or write them there")
	write := flag.Int("write", 0, "with -etcd: write, so many puts a transaction, in the form that -decode says")
	puts := flag.Int("puts", 1, "with -etcd: how many puts each transaction has that is written there")
	replay := flag.Int("replay", 0, "measure a watch over the whole history instead, of one in so many pods where -select says")
	flag.Parse()
	klog.SetOutput(nowhere{})
	klog.LogToStderr(false)
	switch {
	case *etcd != "" && *write > 0:
		writeEtcd(*etcd, what.decode, what.events, *write)
	case *etcd != "":
		show(measureEtcd(*etcd, what.events, *puts))
	case *replay > 0:
		show(measureReplay(what.selects, *replay))
	case *memory > 0:
		show(measureMemory(*memory, what.watchers))
	case *lists > 0:
		show(measureLists(*lists))
	default:
		show(measure(what))
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func show(found result) {
	found.Go, found.Procs, found.Apiserver = runtime.Version(), runtime.GOMAXPROCS(0), "v0.36.2"
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pod(number, groups int) *v1.Pod {
	group := number % groups
	made := &v1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", number), Namespace: fmt.Sprintf("ns-%d", group), ResourceVersion: strconv.Itoa(number + 1),
			Labels: map[string]string{"app": fmt.Sprintf("app-%d", group), "tier": "backend", "track": "stable"},
		},
		Spec:   v1.PodSpec{NodeName: fmt.Sprintf("node-%d", group), Containers: []v1.Container{{Name: "main", Image: "registry.example/app:1"}}},
		Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: "10.0.0.1"},
	}
	made.UID = "00000000-0000-4000-8000-000000000000"
	written, _ := json.Marshal(made)
	for missing := objectBytes - len(written); missing > 0; missing-- {
		made.Status.Message += "x"
	}
	return made
}

// attributes are what pods are selected by, as the registry of a real server names them.
func attributes(obj kruntime.Object) (labels.Set, fields.Set, error) {
	found := obj.(*v1.Pod)
	return found.Labels, fields.Set{
		"metadata.name": found.Name, "metadata.namespace": found.Namespace, nodeField: found.Spec.NodeName,
		"spec.restartPolicy": string(found.Spec.RestartPolicy), "spec.schedulerName": found.Spec.SchedulerName,
		"spec.serviceAccountName": found.Spec.ServiceAccountName, "status.phase": string(found.Status.Phase),
		"status.podIP": found.Status.PodIP, "status.nominatedNodeName": found.Status.NominatedNodeName,
	}, nil
}

func newScheme() *kruntime.Scheme {
	scheme := kruntime.NewScheme()
	must(v1.AddToScheme(scheme))
	return scheme
}

func newCacher(below storage.Interface) *cacher.Cacher {
	codecs := serializer.NewCodecFactory(newScheme())
	node := func(obj kruntime.Object) string { return obj.(*v1.Pod).Spec.NodeName }
	made, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: below, Versioner: storage.APIObjectVersioner{}, GroupResource: schema.GroupResource{Resource: "pods"},
		EventsHistoryWindow: cacher.DefaultEventFreshDuration, ResourcePrefix: prefix,
		KeyFunc:      func(obj kruntime.Object) (string, error) { return storage.NamespaceKeyFunc(prefix, obj) },
		GetAttrsFunc: attributes, NewFunc: func() kruntime.Object { return &v1.Pod{} },
		NewListFunc:  func() kruntime.Object { return &v1.PodList{} },
		Codec:        codecs.LegacyCodec(v1.SchemeGroupVersion),
		IndexerFuncs: map[string]storage.IndexerFunc{nodeField: node},
		Indexers: &cache.Indexers{storage.FieldIndex(nodeField): func(obj any) ([]string, error) {
			return []string{obj.(*v1.Pod).Spec.NodeName}, nil
		}},
	})
	must(err)
	for !made.Ready() {
		time.Sleep(time.Millisecond)
	}
	return made
}

type feeder struct {
	below  *source
	next   uint64
	cacher *cacher.Cacher
	stored [][]byte // of each pod, where events are decoded
	codec  kruntime.Serializer
}

// store keeps each pod as a store has it.
func (f *feeder) store(form string) {
	scheme := newScheme()
	switch form {
	case "":
		return
	case "protobuf":
		f.codec = protobuf.NewSerializer(scheme, scheme)
	case "json":
		f.codec = jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme, jsonserializer.SerializerOptions{})
	default:
		must(fmt.Errorf("-decode is json or protobuf, not %q", form))
	}
	for _, one := range f.below.pods {
		var written bytes.Buffer
		must(f.codec.Encode(one, &written))
		f.stored = append(f.stored, written.Bytes())
	}
}

// feed hands over an update of a pod at the next revision.
func (f *feeder) feed(number int) {
	f.next++
	var changed *v1.Pod
	if f.codec == nil {
		copied := *f.below.pods[number]
		changed = &copied
	} else {
		decoded, _, err := f.codec.Decode(f.stored[number], nil, &v1.Pod{})
		must(err)
		changed = decoded.(*v1.Pod)
	}
	changed.ResourceVersion = strconv.FormatUint(f.next, 10)
	f.below.stream <- watch.Event{Type: watch.Modified, Object: changed}
}

func (f *feeder) waitUntilTaken() {
	for {
		at, err := f.cacher.LastSyncResourceVersion()
		must(err)
		if at >= f.next {
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func options(selects string, number int) storage.ListOptions {
	predicate := storage.SelectionPredicate{
		Label: labels.Everything(), Field: fields.Everything(), IndexFields: []string{nodeField},
		GetAttrs: nil,
	}
	switch selects {
	case "node":
		predicate.Field = fields.OneTermEqualSelector(nodeField, fmt.Sprintf("node-%d", number))
	case "namespace":
		predicate.Field = fields.OneTermEqualSelector("metadata.namespace", fmt.Sprintf("ns-%d", number))
	case "label":
		predicate.Label = labels.SelectorFromSet(labels.Set{"app": fmt.Sprintf("app-%d", number)})
	}
	return storage.ListOptions{Predicate: predicate, Recursive: true}
}

type counter struct {
	taken atomic.Int64
	ended atomic.Bool
	_     [48]byte // a cache line of its own
}

func podsOf(what asked, groups int) []*v1.Pod {
	if what.pods == "" {
		made := make([]*v1.Pod, max(what.objects, groups))
		for number := range made {
			made[number] = pod(number, groups)
		}
		return made
	}
	file, err := os.Open(what.pods)
	must(err)
	defer file.Close()
	var made []*v1.Pod
	for decoder := json.NewDecoder(file); decoder.More(); {
		one := &v1.Pod{}
		must(decoder.Decode(one))
		one.ResourceVersion = strconv.Itoa(len(made) + 1)
		made = append(made, one)
	}
	return made
}

func measure(what asked) result {
	selects, watchers, events := what.selects, what.watchers, what.events
	groups := 1
	if selects != "all" {
		groups = max(watchers, 1)
	}
	below := &source{stream: make(chan watch.Event), pods: podsOf(what, groups)}
	below.at = uint64(len(below.pods))
	made := newCacher(below)
	feeding := &feeder{below: below, next: below.at, cacher: made}
	for number := range history {
		feeding.feed(number % len(below.pods))
	}
	feeding.waitUntilTaken()
	feeding.store(what.decode)

	counters := make([]counter, watchers)
	stamps := make([]atomic.Int64, events) // when each event was handed over, ns
	first := feeding.next
	var sampled []float64
	sampling := make(chan float64, 1<<18)
	pause := 10 * time.Millisecond
	if what.rate > 0 {
		pause = 100 * time.Second / time.Duration(what.rate)
	}
	for number := range watchers {
		opts := options(selects, number)
		opts.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		opened, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		mine := consumer{opened: opened, mine: &counters[number], isSampled: number == watchers-1, first: first}
		if what.slow > 0 && number%what.slow == 0 {
			mine.pause = pause
		}
		go mine.run(stamps, sampling)
	}
	wanted := make([]int64, watchers) // of each watcher, so far
	began, cpu := time.Now(), cpuSeconds()
	for fed := 0; fed < events; {
		size := what.burst
		if size == 0 {
			size = 1000
		}
		if what.rate > 0 {
			size = 1
			due := began.Add(time.Duration(fed) * time.Second / time.Duration(what.rate))
			if ahead := time.Until(due); ahead > 0 {
				time.Sleep(ahead)
			}
			stamps[fed].Store(due.UnixNano())
		}
		for range min(size, events-fed) {
			number := (fed * 7919) % len(below.pods)
			if what.rate == 0 {
				stamps[fed].Store(time.Now().UnixNano())
			}
			feeding.feed(number)
			if selects != "all" {
				wanted[number%groups]++
			}
			fed++
		}
		if what.burst > 0 && what.slow == 0 && what.rate == 0 {
			waitFor(counters, wanted, selects == "all", int64(fed), int64(2*what.burst))
		}
	}
	feeding.waitUntilTaken()
	if what.slow == 0 {
		waitFor(counters, wanted, selects == "all", int64(events), 0)
	} else {
		time.Sleep(100 * time.Millisecond) // who is healthy has long taken all by then
	}
	found := result{Select: selects, Watchers: watchers, Burst: what.burst, Events: events}
	found.Seconds, found.CPU = time.Since(began).Seconds(), cpuSeconds()-cpu
	for number := range counters {
		found.Deliveries += counters[number].taken.Load()
		if counters[number].ended.Load() {
			if what.slow > 0 && number%what.slow == 0 {
				found.EndedSlow++
			} else {
				found.Ended++
			}
		}
	}
	for {
		select {
		case one := <-sampling:
			sampled = append(sampled, one)
			continue
		default:
		}
		break
	}
	sort.Float64s(sampled)
	if len(sampled) > 0 {
		found.P50, found.P99 = sampled[len(sampled)/2], sampled[len(sampled)*99/100]
	}
	return found
}

type consumer struct {
	opened    watch.Interface
	mine      *counter
	isSampled bool
	first     uint64
	pause     time.Duration // after each event
}

func (c consumer) run(stamps []atomic.Int64, into chan<- float64) {
	length := 0
	for event := range c.opened.ResultChan() {
		found, isObject := event.Object.(metav1.Object)
		if !isObject {
			break
		}
		version := found.GetResourceVersion()
		length += len(version)
		if c.isSampled {
			if at, err := strconv.ParseUint(version, 10, 64); err == nil && at > c.first {
				select {
				case into <- float64(time.Now().UnixNano()-stamps[at-c.first-1].Load()) / 1e9:
				default:
				}
			}
		}
		c.mine.taken.Add(1)
		if c.pause > 0 {
			time.Sleep(c.pause)
		}
	}
	c.mine.ended.Store(true)
}

// waitFor returns once no watcher that lives is more than `behind` events back.
func waitFor(counters []counter, wanted []int64, isAll bool, all, behind int64) {
	for number := range counters {
		goal := all
		if !isAll {
			goal = wanted[number]
		}
		for counters[number].taken.Load() < goal-behind && !counters[number].ended.Load() {
			runtime.Gosched()
		}
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func must(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
