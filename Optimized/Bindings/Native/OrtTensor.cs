// What of a tensor does the operator see: its elements, type and shape.
namespace S2Attn.Native;

/// <summary>ONNXTensorElementDataType, as far as the operator takes it.</summary>
internal enum OrtElement
{
    Float = 1,
    UInt8 = 2,
    Bool = 9,
    Float16 = 10,
    BFloat16 = 16,
}

/// <summary>An input or output of a call.</summary>
internal readonly unsafe struct OrtTensor
{
    private OrtTensor(OrtElement element, long[] shape, void* data)
    {
        Element = element;
        Shape = shape;
        Data = data;
    }

    public OrtElement Element { get; }

    public long[] Shape { get; }

    public void* Data { get; }

    /// <summary>Input number <paramref name="index"/>; default where the model leaves it out.</summary>
    public static OrtTensor Input(OrtApi api, nint context, nuint index)
    {
        nint value = 0;
        OrtApi.Check(((delegate* unmanaged<nint, nuint, nint*, nint>)api[OrtFunction.KernelContext_GetInput])(context, index, &value));
        if (value == 0)
            return default;
        nint info = 0;
        OrtApi.Check(((delegate* unmanaged<nint, nint*, nint>)api[OrtFunction.GetTensorTypeAndShape])(value, &info));
        try
        {
            int element = 0;
            nuint count = 0;
            OrtApi.Check(((delegate* unmanaged<nint, int*, nint>)api[OrtFunction.GetTensorElementType])(info, &element));
            OrtApi.Check(((delegate* unmanaged<nint, nuint*, nint>)api[OrtFunction.GetDimensionsCount])(info, &count));
            long[] shape = new long[count];
            fixed (long* dimensions = shape)
                OrtApi.Check(((delegate* unmanaged<nint, long*, nuint, nint>)api[OrtFunction.GetDimensions])(info, dimensions, count));
            return new((OrtElement)element, shape, DataOf(api, value));
        }
        finally
        {
            ((delegate* unmanaged<nint, void>)api[OrtFunction.ReleaseTensorTypeAndShapeInfo])(info);
        }
    }

    /// <summary>The elements of output number <paramref name="index"/>, allocated in this shape; null where the model does not use it.</summary>
    public static void* Output(OrtApi api, nint context, nuint index, ReadOnlySpan<long> shape)
    {
        nint value = 0;
        fixed (long* dimensions = shape)
            OrtApi.Check(((delegate* unmanaged<nint, nuint, long*, nuint, nint*, nint>)api[OrtFunction.KernelContext_GetOutput])(context, index, dimensions, (nuint)shape.Length, &value));
        return value == 0 ? null : DataOf(api, value);
    }

    private static void* DataOf(OrtApi api, nint value)
    {
        void* data = null;
        OrtApi.Check(((delegate* unmanaged<nint, void**, nint>)api[OrtFunction.GetTensorMutableData])(value, &data));
        return data;
    }
}
