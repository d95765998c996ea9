/* A CUDA driver without a GPU, stricter than any: for tests alone.
 *
 * Streams are lazy: what is put on one happens only when somebody waits for it, so a wait that is missing gives stale
 * bytes. Memory is poisoned when it is made and when it is freed. What no program should do is counted as a violation
 * even where a real driver would bear it. One device; its memory is the host's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_READY = 600, CONTEXT_IS_DESTROYED = 709, LAUNCH_FAILED = 719
};
enum { STACK_MAX = 16, DEVICE_FILL = 0xAB, FREED_FILL = 0xDD, ALIGNMENT = 512 };
enum { STREAM_MAGIC = 0x57, EVENT_MAGIC = 0xE7, NON_BLOCKING = 1, BLOCKING_SYNC = 1 };

typedef int Result;
typedef struct Context { int alive; } Context;
typedef enum { COPY, CALL, MARK, WAIT_FOR } Kind;
struct Event;
typedef struct Work {
    Kind kind;
    void *to;
    const void *from;
    size_t bytes;
    void (*function)(void *);
    void *argument;
    struct Event *event;
    long generation;
    struct Work *next;
} Work;
typedef struct Stream { int magic; Context *context; Work *first, *last; struct Stream *next; } Stream;
typedef struct Event { int magic; unsigned flags; long recorded, done; Stream *stream; } Event;
typedef enum { DEVICE, PINNED } Place;
typedef struct Memory { char *base; size_t bytes; Place place; int live; struct Memory *next; } Memory;

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int initialized, devices = 1, lost, busy_most;
static Context primary;
static Stream default_stream = {STREAM_MAGIC, 0, 0, 0, 0}, *streams;
static Memory *memories;
static size_t device_used, device_total = (size_t)1 << 30;
static long violations, live_streams, live_events;
static char last_violation[128];
static __thread Context *stack[STACK_MAX];
static __thread int depth;

#define GUARDED(...) do { pthread_mutex_lock(&lock); Result r_ = (__VA_ARGS__); pthread_mutex_unlock(&lock); return r_; } while (0)

static void violation(const char *what) {
    violations++;
    snprintf(last_violation, sizeof last_violation, "%s", what);
}

static Context *current(void) { return depth ? stack[depth - 1] : 0; }

static Result usable(void) {
    if (!initialized) return NOT_INITIALIZED;
    if (!current()) return INVALID_CONTEXT;
    if (!current()->alive) return CONTEXT_IS_DESTROYED;
    return lost ? LAUNCH_FAILED : SUCCESS;
}

static Memory *memory_at(const void *at, size_t bytes) {
    for (Memory *one = memories; one; one = one->next)
        if (one->live && (char *)at >= one->base && (char *)at + bytes <= one->base + one->bytes) return one;
    return 0;
}

static int is_at(const void *at, size_t bytes, Place place) {
    Memory *found = memory_at(at, bytes);
    return found && found->place == place;
}

/* Streams */

static void step(Stream *stream) {
    Work *work = stream->first;
    stream->first = work->next;
    if (!stream->first) stream->last = 0;
    if (work->kind == COPY) memcpy(work->to, work->from, work->bytes);
    if (work->kind == CALL) work->function(work->argument);
    if (work->kind == MARK) work->event->done = work->generation;
    if (work->kind == WAIT_FOR) {
        Stream *other = work->event->stream;
        while (work->event->done < work->generation && other && other->first && other != stream) step(other);
    }
    free(work);
}

static void drain(Stream *stream) { while (stream->first) step(stream); }

static void put(Stream *stream, Work work) {
    Work *kept = malloc(sizeof *kept);
    *kept = work;
    kept->next = 0;
    if (stream->last) stream->last->next = kept; else stream->first = kept;
    stream->last = kept;
    int busy = 0;
    for (Stream *one = streams; one; one = one->next) busy += one->magic == STREAM_MAGIC && one->first;
    if (busy > busy_most) busy_most = busy;
}

static Result stream_of(void *handle, Stream **found) {
    *found = handle ? handle : &default_stream;
    if ((*found)->magic != STREAM_MAGIC) return INVALID_HANDLE;
    if (handle && (*found)->context != current()) {
        violation("a stream of another context");
        return INVALID_HANDLE;
    }
    return SUCCESS;
}

static Result put_on(void *handle, Work work) {
    Stream *stream;
    Result result = usable();
    if (result || (result = stream_of(handle, &stream))) return result;
    put(stream, work);
    return SUCCESS;
}

/* What tests ask and set */

long fake_violations(void) { return violations; }
const char *fake_last_violation(void) { return last_violation; }
long fake_live(int place) { long n = 0; for (Memory *one = memories; one; one = one->next) n += one->live && one->place == (Place)place; return n; }
long fake_live_streams(void) { return live_streams; }
long fake_live_events(void) { return live_events; }
int fake_streams_busy_most(void) { return busy_most; }
int fake_depth(void) { return depth; }
int fake_is_primary(void) { return current() == &primary && primary.alive; }
int fake_is_device(const void *at, size_t bytes) { return is_at(at, bytes, DEVICE); }
void fake_set_devices(int count) { devices = count; }
void fake_set_memory(size_t bytes) { device_total = bytes; }
void fake_lose(int whether) { lost = whether; }
int fake_enqueue(void *stream, void (*function)(void *), void *argument) {
    Work work = {CALL, .function = function, .argument = argument};
    GUARDED(put_on(stream, work));
}

/* The driver's own calls */

Result cuInit(unsigned flags) { if (!devices) return NO_DEVICE; initialized = 1; return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 12020; return SUCCESS; }
Result cuGetErrorString(Result error, const char **text) {
    switch (error) {
    case INVALID_VALUE: *text = "invalid argument"; break;
    case OUT_OF_MEMORY: *text = "out of memory"; break;
    case NOT_INITIALIZED: *text = "initialization error"; break;
    case NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
    case INVALID_DEVICE: *text = "invalid device ordinal"; break;
    case INVALID_CONTEXT: *text = "invalid device context"; break;
    case INVALID_HANDLE: *text = "invalid resource handle"; break;
    case NOT_READY: *text = "device not ready"; break;
    case CONTEXT_IS_DESTROYED: *text = "context is destroyed"; break;
    case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
    default: *text = "operation not supported";
    }
    return SUCCESS;
}
Result cuDeviceGetCount(int *count) { if (!initialized) return NOT_INITIALIZED; *count = devices; return SUCCESS; }
Result cuDeviceGet(int *device, int ordinal) {
    if (!initialized) return NOT_INITIALIZED;
    if (ordinal < 0 || ordinal >= devices) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
Result cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake GPU"); return SUCCESS; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = device_total; return SUCCESS; }
Result cuDeviceComputeCapability(int *major, int *minor, int device) { *major = 8; *minor = 6; return SUCCESS; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 1;
    return SUCCESS;
}

static Result push(Context *context) {
    if (depth >= STACK_MAX) return INVALID_VALUE;
    stack[depth++] = context;
    return SUCCESS;
}
Result cuDevicePrimaryCtxRetain(void **context, int device) {
    if (!initialized) return NOT_INITIALIZED;
    primary.alive = 1;
    *context = &primary;
    return SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int device) { primary.alive = 0; return SUCCESS; }
Result cuCtxCreate_v2(void **context, unsigned flags, int device) {
    if (!initialized) return NOT_INITIALIZED;
    Context *made = calloc(1, sizeof *made);
    made->alive = 1;
    *context = made;
    return push(made);
}
Result cuCtxPushCurrent_v2(void *context) { return context ? push(context) : INVALID_CONTEXT; }
Result cuCtxPopCurrent_v2(void **context) {
    if (!depth) return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}
Result cuCtxDetach(void *context) {
    ((Context *)context)->alive = 0;
    if (current() == context) depth--;
    return SUCCESS;
}
Result cuCtxAttach(void **context, unsigned flags) { if (!depth) return INVALID_CONTEXT; *context = current(); return SUCCESS; }
Result cuCtxGetDevice(int *device) { *device = 0; return usable(); }
static Result drain_all(void) {
    Result result = usable();
    if (result) return result;
    drain(&default_stream);
    for (Stream *one = streams; one; one = one->next) if (one->magic == STREAM_MAGIC) drain(one);
    return SUCCESS;
}
Result cuCtxSynchronize(void) { GUARDED(drain_all()); }

static Result make_memory(void **at, size_t bytes, Place place) {
    Result result = usable();
    if (result) return result;
    if (!bytes) return INVALID_VALUE;
    if (place == DEVICE && device_used + bytes > device_total) return OUT_OF_MEMORY;
    Memory *made = calloc(1, sizeof *made);
    if (posix_memalign((void **)&made->base, ALIGNMENT, bytes)) return OUT_OF_MEMORY;
    memset(made->base, DEVICE_FILL, bytes);
    made->bytes = bytes;
    made->place = place;
    made->live = 1;
    made->next = memories;
    memories = made;
    if (place == DEVICE) device_used += bytes;
    *at = made->base;
    return SUCCESS;
}
static int is_in_use(const Memory *memory) {
    for (Stream *stream = streams; stream; stream = stream->next)
        for (Work *work = stream->magic == STREAM_MAGIC ? stream->first : 0; work; work = work->next) {
            char *end = memory->base + memory->bytes;
            if (work->kind != COPY) continue;
            if ((char *)work->to >= memory->base && (char *)work->to < end) return 1;
            if ((char *)work->from >= memory->base && (char *)work->from < end) return 1;
        }
    return 0;
}
static Result free_memory(void *at, Place place) {
    if (!current()) return INVALID_CONTEXT;
    for (Memory *one = memories; one; one = one->next) {
        if (!one->live || one->base != at || one->place != place) continue;
        if (is_in_use(one)) violation("memory freed under a copy");
        one->live = 0;
        memset(one->base, FREED_FILL, one->bytes);
        if (place == DEVICE) device_used -= one->bytes;
        return SUCCESS;
    }
    violation("freed what is not there");
    return INVALID_VALUE;
}
Result cuMemAlloc_v2(uint64_t *at, size_t bytes) { GUARDED(make_memory((void **)at, bytes, DEVICE)); }
Result cuMemFree_v2(uint64_t at) { GUARDED(free_memory((void *)at, DEVICE)); }
Result cuMemHostAlloc(void **at, size_t bytes, unsigned flags) { GUARDED(make_memory(at, bytes, PINNED)); }
Result cuMemFreeHost(void *at) { GUARDED(free_memory(at, PINNED)); }
Result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    *total = device_total;
    *free_bytes = device_total - device_used;
    return usable();
}

static Result copy(void *to, const void *from, size_t bytes, int into_device, void *stream, int later) {
    Result result = usable();
    if (result) return result;
    if (!is_at(into_device ? to : from, bytes, DEVICE)) {
        violation("a copy past the device's memory");
        return INVALID_VALUE;
    }
    if (!later) {
        drain(&default_stream);
        memcpy(to, from, bytes);
        return SUCCESS;
    }
    if (!is_at(into_device ? from : to, bytes, PINNED)) violation("an asynchronous copy of pageable memory");
    if (!stream) violation("the default stream");
    Work work = {COPY, .to = to, .from = from, .bytes = bytes};
    return put_on(stream, work);
}
Result cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) { GUARDED(copy((void *)to, from, bytes, 1, 0, 0)); }
Result cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) { GUARDED(copy(to, (void *)from, bytes, 0, 0, 0)); }
Result cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
    GUARDED(copy((void *)to, from, bytes, 1, stream, 1));
}
Result cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
    GUARDED(copy(to, (void *)from, bytes, 0, stream, 1));
}

static Result make_stream(void **handle, unsigned flags) {
    Result result = usable();
    if (result) return result;
    if (!(flags & NON_BLOCKING)) violation("a stream that the default stream holds up");
    Stream *made = calloc(1, sizeof *made);
    made->magic = STREAM_MAGIC;
    made->context = current();
    made->next = streams;
    streams = made;
    live_streams++;
    *handle = made;
    return SUCCESS;
}
static Result end_stream(Stream *stream) {
    if (stream->magic != STREAM_MAGIC) return INVALID_HANDLE;
    if (stream->first) violation("a stream destroyed with work on it");
    stream->magic = 0;
    live_streams--;
    return SUCCESS;
}
static Result wait_for_stream(void *handle) {
    Stream *stream;
    Result result = usable();
    if (result || (result = stream_of(handle, &stream))) return result;
    drain(stream);
    return SUCCESS;
}
Result cuStreamCreate(void **stream, unsigned flags) { GUARDED(make_stream(stream, flags)); }
Result cuStreamDestroy_v2(void *stream) { GUARDED(end_stream(stream)); }
Result cuStreamSynchronize(void *stream) { GUARDED(wait_for_stream(stream)); }
Result cuStreamQuery(void *stream) { violation("a stream polled"); return ((Stream *)stream)->first ? NOT_READY : SUCCESS; }

static Result record(Event *event, void *handle) {
    Stream *stream;
    Result result = usable();
    if (result || (result = stream_of(handle, &stream))) return result;
    if (event->magic != EVENT_MAGIC) return INVALID_HANDLE;
    event->stream = stream;
    Work work = {MARK, .event = event, .generation = ++event->recorded};
    put(stream, work);
    return SUCCESS;
}
static Result wait_for_event(Event *event) {
    Result result = usable();
    if (result) return result;
    if (!(event->flags & BLOCKING_SYNC)) violation("a wait that spins");
    while (event->stream && event->done < event->recorded && event->stream->first) step(event->stream);
    return SUCCESS;
}
Result cuEventCreate(void **handle, unsigned flags) {
    Result result = usable();
    if (result) return result;
    Event *made = calloc(1, sizeof *made);
    made->magic = EVENT_MAGIC;
    made->flags = flags;
    *handle = made;
    live_events++;
    return SUCCESS;
}
Result cuEventDestroy_v2(void *event) { ((Event *)event)->magic = 0; live_events--; return SUCCESS; }
Result cuEventRecord(void *event, void *stream) { GUARDED(record(event, stream)); }
Result cuEventSynchronize(void *event) { GUARDED(wait_for_event(event)); }
Result cuEventQuery(void *event) { violation("an event polled"); return ((Event *)event)->done < ((Event *)event)->recorded ? NOT_READY : SUCCESS; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    Work work = {WAIT_FOR, .event = event, .generation = ((Event *)event)->recorded};
    GUARDED(put_on(stream, work));
}
