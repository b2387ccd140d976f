/* A cuBLAS without a GPU, for test_blas.py and test_driver.py: it multiplies on the host.

   It has the functions that our class Cublas calls, with the types of NVIDIA's cublas_api.h. */

#include <stddef.h>
#include <stdint.h>

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

static char there[1];

int cublasCreate_v2(void **handle) { *handle = there; return SUCCESS; }

static int refused(void *handle) { return handle == there ? SUCCESS : INVALID_VALUE; }

int cublasGetVersion_v2(void *handle, int *version) { *version = 130100; return refused(handle); }

static void *stream;
int cublasSetStream_v2(void *handle, void *chosen) { stream = chosen; return refused(handle); }
void *chosen_stream(void) { return stream; }

static size_t workspace_bytes;
int cublasSetWorkspace_v2(void *handle, void *workspace, size_t bytes) {
    workspace_bytes = bytes;
    return workspace ? refused(handle) : INVALID_VALUE;
}
size_t chosen_workspace_bytes(void) { return workspace_bytes; }

int cublasSetMathMode(void *handle, int mode) { return mode == 0 || mode == 3 ? refused(handle) : NOT_SUPPORTED; }

const char *cublasGetStatusString(int status) {
    return status == NOT_SUPPORTED ? "the requested functionality is not supported" : "another failure";
}

/* column-major; beta 0 does not read c */
#define GEMM(name, real)                                                                                      \
    int name(void *handle, int transa, int transb, int64_t m, int64_t n, int64_t k, const real *alpha,        \
             const real *a, int64_t lda, const real *b, int64_t ldb, const real *beta, real *c, int64_t ldc) { \
        if (m < 0 || n < 0 || k < 0) return INVALID_VALUE;                                                    \
        for (int64_t i = 0; i < m; i++)                                                                       \
            for (int64_t j = 0; j < n; j++) {                                                                 \
                real sum = 0;                                                                                 \
                for (int64_t l = 0; l < k; l++)                                                               \
                    sum += (transa ? a[l + i * lda] : a[i + l * lda]) * (transb ? b[j + l * ldb] : b[l + j * ldb]); \
                c[i + j * ldc] = *alpha * sum + (*beta != 0 ? *beta * c[i + j * ldc] : 0);                    \
            }                                                                                                 \
        return refused(handle);                                                                               \
    }

GEMM(cublasSgemm_v2_64, float)
GEMM(cublasDgemm_v2_64, double)
