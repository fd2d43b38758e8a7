/* Stands in for NVIDIA's libcuda.so.1 and libnvidia-ml.so.1 on a machine without a GPU.

   It answers as environment variables say, at the time of each call:
     STAND_IN_DRIVER  the driver's version, as in 550.54.15
     STAND_IN_CUDA    the newest CUDA that it knows, as in 12040
     STAND_IN_GPU     name,major,minor,bytes of the one GPU; without it there is none
     STAND_IN_ECC     uncorrectable errors of the GPU's memory
     STAND_IN_LOST    the function of NVML that says that the GPU has fallen off the bus
     STAND_IN_CUINIT  what cuInit returns
     STAND_IN_HANGS   the name of the function that never comes back

   libcudart goes as far with it as cuInit, and then asks for tables of private functions, which it does not have. So
   everything up to there is NVIDIA's own code and torch's; what comes after cannot be had without a driver. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INVALID_VALUE = 1, NO_DEVICE = 100, NVML_NOT_SUPPORTED = 3, NVML_NOT_FOUND = 6, NVML_GPU_IS_LOST = 15 };

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

static void hang(const char *function) {
    while (!strcmp(setting("STAND_IN_HANGS", ""), function)) pause();
}

static int lost(const char *function) { return !strcmp(setting("STAND_IN_LOST", ""), function); }

static int gpu(char *name, int *major, int *minor, unsigned long long *bytes) {
    return sscanf(setting("STAND_IN_GPU", ""), "%95[^,],%d,%d,%llu", name, major, minor, bytes) == 4;
}

static int gpus(void) {
    char name[96];
    int major, minor;
    unsigned long long bytes;
    return gpu(name, &major, &minor, &bytes);
}

/* --- libcuda.so.1 */

int cuDriverGetVersion(int *version) {
    *version = atoi(setting("STAND_IN_CUDA", "13000"));
    return 0;
}

int cuInit(unsigned flags) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)flags;
    hang("cuInit");
    if (!gpus() || (visible && strncmp(visible, "0", 1))) return NO_DEVICE;
    return atoi(setting("STAND_IN_CUINIT", "0"));
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    hang("cuDevicePrimaryCtxRetain");
    *context = NULL;
    return 0;
}

int cuGetExportTable(const void **table, const void *id) {
    (void)id;
    *table = NULL;
    return INVALID_VALUE;
}

static int nothing(void) { return 0; }

int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long flags, int *status) {
    (void)version, (void)flags;
    if (status) *status = 0;
    *function = !strcmp(name, "cuInit")               ? (void *)cuInit
                : !strcmp(name, "cuDriverGetVersion") ? (void *)cuDriverGetVersion
                : !strcmp(name, "cuGetExportTable")   ? (void *)cuGetExportTable
                : !strcmp(name, "cuGetProcAddress")   ? (void *)cuGetProcAddress_v2
                                                      : (void *)nothing;
    return 0;
}

int cuGetProcAddress(const char *name, void **function, int version, unsigned long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}

/* --- libnvidia-ml.so.1 */

struct memory { unsigned long long total, free, used; };

int nvmlInit_v2(void) {
    hang("nvmlInit_v2");
    return 0;
}

int nvmlShutdown(void) { return 0; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "%s", setting("STAND_IN_DRIVER", "580.65.06"));
    return 0;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) { return cuDriverGetVersion(version); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = gpus();
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)1;
    if (lost("nvmlDeviceGetHandleByIndex_v2")) return NVML_GPU_IS_LOST;
    return index < (unsigned)gpus() ? 0 : NVML_NOT_FOUND;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    char found[96];
    int major, minor;
    unsigned long long bytes;
    (void)handle;
    if (lost("nvmlDeviceGetName")) return NVML_GPU_IS_LOST;
    if (!gpu(found, &major, &minor, &bytes)) return NVML_NOT_FOUND;
    snprintf(name, length, "%s", found);
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    char name[96];
    unsigned long long bytes;
    (void)handle;
    return gpu(name, major, minor, &bytes) ? 0 : NVML_NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    char name[96];
    int major, minor;
    (void)handle;
    memory->free = memory->used = 0;
    return gpu(name, &major, &minor, &memory->total) ? 0 : NVML_NOT_FOUND;
}

int nvmlDeviceGetTotalEccErrors(void *handle, int kind, int counter, unsigned long long *count) {
    const char *errors = getenv("STAND_IN_ECC");
    (void)handle, (void)kind, (void)counter;
    if (!errors) return NVML_NOT_SUPPORTED;
    *count = strtoull(errors, NULL, 10);
    return 0;
}
