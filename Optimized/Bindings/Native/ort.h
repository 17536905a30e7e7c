/* What does ONNX Runtime call? A table of functions for each element type. Each that enters the kernels is a call as those of s2attn.h are, for which a fork waits; the others never
 * enter them. */
#ifndef S2ATTN_ORT_H
#define S2ATTN_ORT_H

#include <stddef.h>
#include <stdint.h>

/* As much of OrtApi as an error needs: CreateStatus has been its first function in every version. */
struct OrtApi {
    struct OrtStatus *(*create_status)(int code, const char *message);
};
struct OrtApiBase {
    const struct OrtApi *(*get_api)(uint32_t version);
};
enum { ORT_FAIL = 1, FIRST_ORT_VERSION = 1 };
enum { ORT_FLOAT = 1, ORT_UINT8 = 2, ORT_BOOL = 9, ORT_FLOAT16 = 10, ORT_BFLOAT16 = 16 };
enum { ORT_REQUIRED = 0, ORT_OPTIONAL = 1 };
enum { ORT_INPUTS = 4, ORT_OUTPUTS = 2, ORT_VALID = 3 };

/* struct OrtCustomOp of onnxruntime_c_api.h, and behind it the element types, because ONNX Runtime wants an operator for each. */
typedef struct ort_operator {
    uint32_t version;
    void *(*CreateKernel)(void);
    const char *(*GetName)(const struct ort_operator *);
    const char *(*GetExecutionProviderType)(const struct ort_operator *);
    int (*GetInputType)(const struct ort_operator *, size_t);
    size_t (*GetInputTypeCount)(const struct ort_operator *);
    int (*GetOutputType)(const struct ort_operator *, size_t);
    size_t (*GetOutputTypeCount)(const struct ort_operator *);
    void (*KernelCompute)(void);
    void (*KernelDestroy)(void *);
    int (*GetInputCharacteristic)(const struct ort_operator *, size_t);
    int (*GetOutputCharacteristic)(const struct ort_operator *, size_t);
    int (*GetInputMemoryType)(const struct ort_operator *, size_t);
    int (*GetVariadicInputMinArity)(const struct ort_operator *);
    int (*GetVariadicInputHomogeneity)(const struct ort_operator *);
    int (*GetVariadicOutputMinArity)(const struct ort_operator *);
    int (*GetVariadicOutputHomogeneity)(const struct ort_operator *);
    struct OrtStatus *(*CreateKernelV2)(const struct ort_operator *, const struct OrtApi *, const void *, void **);
    struct OrtStatus *(*KernelComputeV2)(void *, void *);
    void (*InferOutputShape)(void);
    int (*GetStartVersion)(const struct ort_operator *);
    int (*GetEndVersion)(const struct ort_operator *);
    void (*GetMayInplace)(void);
    void (*ReleaseMayInplace)(void);
    void (*GetAliasMap)(void);
    void (*ReleaseAliasMap)(void);
    int32_t element, valid;
} ort_operator;

#endif
