/* An NVIDIA driver without a GPU, for test_driver.py: as much of libcuda.so.1 as cuda.core calls for us.

   Device memory is the host's, kernels are written down instead of run, and so is what a capture does.
   A function that is not here is answered with "not supported", so that nothing goes unnoticed. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef void *Handle;
typedef uint64_t Pointer;

enum { SUCCESS = 0, NOT_FOUND = 500, NOT_SUPPORTED = 801 };
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, MEMORY_POOLS = 115 };

/* any addresses but 0 */
static char context[1], stream[1], graph[1], executable[1], pool[1], object[1];
static Handle current;
static int capturing;

/* --- the device --- */

Result cuInit(unsigned flags) { return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
Result cuDeviceGetCount(int *n) { *n = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
Result cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "a stand-in");
    return SUCCESS;
}
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case CAPABILITY_MAJOR: *value = 9; break;
    case CAPABILITY_MINOR: *value = 0; break;
    case MEMORY_POOLS: *value = 1; break;
    default: *value = 1024;
    }
    return SUCCESS;
}
Result cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, 1, 16); return SUCCESS; }
Result cuDevicePrimaryCtxRetain(Handle *made, int device) { *made = context; return SUCCESS; }
Result cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
Result cuCtxSetCurrent(Handle chosen) { current = chosen; return SUCCESS; }
Result cuCtxGetCurrent(Handle *found) { *found = current; return SUCCESS; }
Result cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }
Result cuCtxGetDevice_v2(int *device, Handle of) { *device = 0; return SUCCESS; }
Result cuCtxPushCurrent_v2(Handle chosen) { current = chosen; return SUCCESS; }
Result cuCtxPopCurrent_v2(Handle *found) { if (found) *found = current; return SUCCESS; }
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = *greatest = 0; return SUCCESS; }
Result cuGetErrorName(int error, const char **name) { *name = "an error"; return SUCCESS; }
Result cuGetErrorString(int error, const char **text) { *text = "an error of the stand-in"; return SUCCESS; }

/* --- memory --- */

Result cuDeviceGetMemPool(Handle *found, int device) { *found = pool; return SUCCESS; }
Result cuDeviceGetDefaultMemPool(Handle *found, int device) { *found = pool; return SUCCESS; }
Result cuMemPoolGetAttribute(Handle of, int attribute, void *value) {
    *(uint64_t *)value = 0;
    return SUCCESS;
}
Result cuMemPoolSetAttribute(Handle of, int attribute, void *value) { return SUCCESS; }
Result cuMemAllocFromPoolAsync(Pointer *made, size_t size, Handle from, Handle in) {
    void *memory = malloc(size);
    memset(memory, 0xff, size);
    *made = (Pointer)memory;
    if (capturing) printf("allocated while capturing\n");
    return memory ? SUCCESS : 2;
}
Result cuMemAllocAsync(Pointer *made, size_t size, Handle in) {
    return cuMemAllocFromPoolAsync(made, size, pool, in);
}
Result cuMemFreeAsync(Pointer memory, Handle in) {
    if (capturing) printf("freed while capturing\n");
    free((void *)memory);
    return SUCCESS;
}
Result cuMemsetD8Async(Pointer to, unsigned char value, size_t size, Handle in) {
    memset((void *)to, value, size);
    return SUCCESS;
}
Result cuMemGetInfo_v2(size_t *unused, size_t *total) { *unused = *total = (size_t)1 << 34; return SUCCESS; }
Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t size, Handle in) {
    memcpy((void *)to, from, size);
    return in == stream ? SUCCESS : 1;
}
Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t size, Handle in) {
    memcpy(to, (void *)from, size);
    return in == stream ? SUCCESS : 1;
}
Result cuPointerGetAttributes(unsigned n, int *attributes, void **data, Pointer of) {
    for (unsigned i = 0; i < n; i++) *(int *)data[i] = 0;
    return SUCCESS;
}

/* --- streams and graphs --- */

Result cuStreamCreateWithPriority(Handle *made, unsigned flags, int priority) {
    printf("stream %u\n", flags);
    *made = stream;
    return SUCCESS;
}
Result cuStreamDestroy_v2(Handle of) { return SUCCESS; }
Result cuStreamSynchronize(Handle of) { return capturing ? 1 : SUCCESS; }
Result cuStreamGetCtx(Handle of, Handle *found) { *found = context; return SUCCESS; }
Result cuStreamGetCtx_v2(Handle of, Handle *found, Handle *green) {
    *found = context;
    *green = 0;
    return SUCCESS;
}
Result cuStreamBeginCapture_v2(Handle of, int mode) { capturing = 1; return SUCCESS; }
Result cuStreamEndCapture(Handle of, Handle *made) { capturing = 0; if (made) *made = graph; return SUCCESS; }
Result cuStreamIsCapturing(Handle of, int *status) { *status = capturing; return SUCCESS; }
Result cuStreamGetCaptureInfo_v2(
    Handle of, int *status, uint64_t *id, Handle *found, Handle *before, size_t *n) {
    *status = capturing;
    if (id) *id = 1;
    if (found) *found = graph;
    if (before) *before = 0;
    if (n) *n = 0;
    return SUCCESS;
}
Result cuStreamGetCaptureInfo_v3(
    Handle of, int *status, uint64_t *id, Handle *found, Handle *before, Handle *edges, size_t *n) {
    if (edges) *edges = 0;
    return cuStreamGetCaptureInfo_v2(of, status, id, found, before, n);
}
typedef struct { uint64_t flags; Handle upload, node; int result; } Instantiation;
Result cuGraphInstantiateWithParams(Handle *made, Handle of, Instantiation *parameters) {
    parameters->result = 0;
    *made = executable;
    return SUCCESS;
}
Result cuGraphUpload(Handle of, Handle in) { return SUCCESS; }
Result cuGraphLaunch(Handle of, Handle in) {
    printf("replay\n");
    return of == executable && in == stream ? SUCCESS : 1;
}
Result cuGraphExecDestroy(Handle of) { return SUCCESS; }
Result cuGraphDestroy(Handle of) { return SUCCESS; }
Result cuUserObjectCreate(Handle *made, void *data, void *destroy, unsigned n, unsigned flags) {
    *made = object;
    return SUCCESS;
}
Result cuGraphRetainUserObject(Handle of, Handle kept, unsigned n, unsigned flags) { return SUCCESS; }
Result cuGraphReleaseUserObject(Handle of, Handle kept, unsigned n) { return SUCCESS; }
Result cuUserObjectRelease(Handle of, unsigned n) { return SUCCESS; }

/* --- kernels --- */

Result cuLibraryLoadData(
    Handle *made, const void *code, void *a, void *b, unsigned c, void *d, void *e, unsigned f) {
    *made = (Handle)code;
    return memcmp(code, "\x7f" "ELF", 4) ? 1 : SUCCESS;
}
Result cuLibraryUnload(Handle of) { return SUCCESS; }
Result cuLibraryGetKernel(Handle *found, Handle in, const char *name) {
    *found = strdup(name);
    return SUCCESS;
}
Result cuKernelGetFunction(Handle *found, Handle of) { *found = of; return SUCCESS; }
typedef struct { unsigned grid[3], block[3], shared; Handle stream; void *attributes; unsigned n; } Launch;
Result cuLaunchKernelEx(const Launch *how, Handle kernel, void **arguments, void **extra) {
    const unsigned *grid = how->grid;
    printf("%s %s ", capturing ? "capture" : "launch", (char *)kernel);
    printf("%u %u %u %u\n", grid[0], grid[1], grid[2], how->block[0]);
    return how->stream == stream ? SUCCESS : 1;
}

/* --- how all of these are found --- */

static Result not_here(void) { printf("a function that the stand-in lacks\n"); return NOT_SUPPORTED; }

Result cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, int *status) {
    static const char *const endings[] = {"_v3", "_v2", ""};
    int older = !strcmp(name, "cuStreamGetCaptureInfo") && version < 12030;
    *found = 0;
    for (int i = older; i < 3 && !*found; i++) {
        char whole[128];
        snprintf(whole, sizeof whole, "%s%s", name, endings[i]);
        *found = dlsym(dlopen("libcuda.so.1", RTLD_NOW), whole); /* this library */
    }
    if (!*found) *found = (void *)not_here;
    if (status) *status = 0;
    return SUCCESS;
}
