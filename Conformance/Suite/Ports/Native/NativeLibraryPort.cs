// How is an implementation in a shared library asked?
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Calls the functions of Conformance/Ports/c/s2attn_port.h in this process. A crash of the library ends the process, so the suite does not use this
/// directly: <see cref="PortFactory.CreateNative"/> lets a second process serve it.
/// </summary>
public sealed unsafe class NativeLibraryPort : IAttentionPort
{
    private const string DescribeName = "s2attn_port_describe", ForwardName = "s2attn_port_forward", BackwardName = "s2attn_port_backward";
    private static readonly string[] Tensors = ["q", "k", "v", "do", "o", "lse", "dq", "dk", "dv"];
    private readonly nint library;
    private readonly delegate* unmanaged[Cdecl]<NativeCase*, int> forward;
    private readonly delegate* unmanaged[Cdecl]<NativeCase*, int> backward;
    private readonly delegate* unmanaged[Cdecl]<byte*> message;

    /// <summary>Loads the library.</summary>
    /// <exception cref="PortStartException">It cannot be loaded, lacks a function, or describes itself wrongly.</exception>
    public NativeLibraryPort(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string fullPath = Path.GetFullPath(path);
        if (!File.Exists(fullPath))
            throw new PortStartException($"There is no library {fullPath}.");
        try
        {
            // Looked at first: a pipe in its place would be waited for.
            RegularFile.Open(long.MaxValue, fullPath).Dispose();
            library = NativeLibrary.Load(fullPath);
        }
        catch (Exception error) when (error is DllNotFoundException or BadImageFormatException or IOException or UnauthorizedAccessException)
        {
            throw new PortStartException($"The library cannot be loaded: {error.Message}", error);
        }

        forward = (delegate* unmanaged[Cdecl]<NativeCase*, int>)Function(ForwardName, optional: false);
        backward = (delegate* unmanaged[Cdecl]<NativeCase*, int>)Function(BackwardName, optional: true);
        message = (delegate* unmanaged[Cdecl]<byte*>)Function("s2attn_port_message", optional: true);
        Description = Describe((delegate* unmanaged[Cdecl]<byte*>)Function(DescribeName, optional: false));
    }

    /// <inheritdoc/>
    public PortDescription Description { get; }

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        S2Config config = portCase.Config;
        SafetensorsType type = portCase.ElementType.ToSafetensors(), lseType = PortTensors.LogSumExpType(portCase.ElementType).ToSafetensors();
        S2Slice part = portCase.Part;
        int[] queryShape = [.. portCase.Input.Query.Shape], keyShape = [.. portCase.Input.Key.Shape], rowShape = queryShape[..3];
        List<NativeBuffer> buffers = [];
        long* strides = stackalloc long[3 * Tensors.Length];
        int* starts = null;
        if (!portCase.Memory.Starts.IsEmpty)
        {
            int* copied = stackalloc int[portCase.Memory.Starts.Length];
            portCase.Memory.Starts.CopyTo(new Span<int>(copied, portCase.Memory.Starts.Length));
            starts = copied;
        }

        NativeAxis* axes = stackalloc NativeAxis[S2Grid.MaxAxes];
        int axisCount = portCase.Grid?.Axes.Length ?? 0;
        for (int i = 0; i < axisCount; i++)
            axes[i] = new() { Tokens = portCase.Grid!.Axes[i].Tokens, GroupSize = portCase.Grid.Axes[i].GroupSize, Shift = portCase.Grid.Axes[i].Shift };
        try
        {
            NativeBuffer query = Read("q", portCase.Input.Query);
            NativeBuffer key = Read("k", portCase.Input.Key);
            NativeBuffer value = Read("v", portCase.Input.Value);
            NativeBuffer shifted = Add(NativeBuffer.Input("shifted", SafetensorsType.U8, Reference.Tensor<double>.Build(
                [config.Heads], h => config.ShiftedHeads.IsShifted(h, config.Heads) ? 1 : 0)));
            NativeCase native = new()
            {
                StructSize = sizeof(NativeCase),
                ElementType = (int)portCase.ElementType,
                Mask = (int)config.Mask,
                Batch = config.Batch,
                Tokens = config.Tokens,
                Heads = config.Heads,
                KvHeads = config.KvHeads,
                HeadDim = config.HeadDim,
                GroupSize = config.GroupSize,
                Shift = config.Shift,
                Scale = config.Scale,
                Shifted = shifted.Pointer,
                Query = query.Pointer,
                Key = key.Pointer,
                Value = value.Pointer,
                Layout = portCase.Memory.HeadMajor ? 1 : 0,
                Sequences = Math.Max(0, portCase.Memory.Starts.Length - 1),
                CumulativeLengths = starts,
                QueryStrides = StridesOf("q"),
                KeyStrides = StridesOf("k"),
                ValueStrides = StridesOf("v"),
                OutputGradientStrides = StridesOf("do"),
                OutputStrides = StridesOf("o"),
                LogSumExpStrides = StridesOf("lse"),
                QueryGradientStrides = StridesOf("dq"),
                KeyGradientStrides = StridesOf("dk"),
                ValueGradientStrides = StridesOf("dv"),
                IsSlice = portCase.IsSlice ? 1 : 0,
                IsUnbounded = part.IsUnbounded ? 1 : 0,
                FirstQuery = part.Queries.Start,
                EndQuery = part.Queries.End,
                FirstKey = part.Keys.Start,
                EndKey = part.Keys.End,
                Axes = axisCount == 0 ? null : axes,
                AxisCount = axisCount,
                Prefix = config.Prefix,
                IsPrefixWhole = config.IsPrefixWhole ? 1 : 0,
            };
            if (portCase.IsPadded)
                native.Valid = Add(NativeBuffer.Input("valid", SafetensorsType.U8, portCase.Input.Valid.Map(valid => valid ? 1.0 : 0.0))).Pointer;
            if (portCase.Operation is PortOperation.Forward)
            {
                NativeBuffer output = Written("o", type, queryShape), lse = Written("lse", lseType, rowShape);
                native.Output = output.Pointer;
                native.LogSumExp = lse.Pointer;
                return Call(forward, ForwardName, &native, buffers, [output])
                    ?? new PortAnswer.Forward(output.Read(type), lse.IsUnwritten ? [] : [lse.Read(lseType)]);
            }

            if (backward is null)
                return new PortAnswer.Unsupported($"the library has no {BackwardName}");
            NativeBuffer dq = Written("dq", type, queryShape);
            NativeBuffer dk = Written("dk", type, keyShape), dv = Written("dv", type, keyShape);
            native.OutputGradient = Read("do", portCase.OutputGradient[0]).Pointer;
            if (!portCase.LogSumExpGradient.IsEmpty)
                native.LogSumExpGradient = Add(NativeBuffer.Input("dlse", lseType, portCase.LogSumExpGradient[0])).Pointer;
            native.QueryGradient = dq.Pointer;
            native.KeyGradient = dk.Pointer;
            native.ValueGradient = dv.Pointer;
            return Call(backward, BackwardName, &native, buffers, [dq, dk, dv])
                ?? new PortAnswer.Backward(new(dq.Read(type), dk.Read(type), dv.Read(type)));
        }
        finally
        {
            buffers.ForEach(buffer => buffer.Dispose());
        }

        NativeBuffer Read(string name, Reference.Tensor<double> tensor) => Add(NativeBuffer.Input(name, type, portCase.Memory.ViewOf(name, tensor.Shape.AsSpan()), tensor));

        NativeBuffer Written(string name, SafetensorsType elements, int[] shape) => Add(NativeBuffer.Output(name, elements, portCase.Memory.ViewOf(name, shape), shape));

        long* StridesOf(string name)
        {
            if (!portCase.Memory.Views.TryGetValue(name, out TensorView? view))
                return null;
            long* own = strides + 3 * Array.IndexOf(Tensors, name);
            (own[0], own[1], own[2]) = (view.Batch, view.Token, view.Head);
            return own;
        }

        NativeBuffer Add(NativeBuffer buffer)
        {
            buffers.Add(buffer);
            return buffer;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => NativeLibrary.Free(library);

    private PortAnswer? Call(
        delegate* unmanaged[Cdecl]<NativeCase*, int> function, string name, NativeCase* native, List<NativeBuffer> buffers, ReadOnlySpan<NativeBuffer> outputs)
    {
        const int Ok = 0, Unsupported = 1;
        int status = function(native);
        string text = message is null ? "" : Text(message());
        foreach (NativeBuffer buffer in buffers)
            if (buffer.Violation() is { Length: > 0 } violation)
                return new PortAnswer.Failed(PortFailureKind.Output, $"{name} {violation}");
        if (status == Unsupported)
            return new PortAnswer.Unsupported(text.Length == 0 ? $"{name} returned S2ATTN_UNSUPPORTED" : text);
        if (status != Ok)
            return new PortAnswer.Failed(PortFailureKind.Error, $"{name} returned {status}{(text.Length == 0 ? "" : ": " + text)}");
        foreach (NativeBuffer output in outputs)
            if (output.IsUnwritten)
                return new PortAnswer.Failed(PortFailureKind.Output, $"{name} returned S2ATTN_OK and did not write {output.Name}");
        return null;
    }

    private PortDescription Describe(delegate* unmanaged[Cdecl]<byte*> describe)
    {
        string json = Text(describe());
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind is not JsonValueKind.Object)
                throw new PortStartException($"{DescribeName} must return a JSON object.");
            if (!PortDescriptions.TryRead(document.RootElement, out PortDescription? description, out string wrong))
                throw new PortStartException($"{DescribeName}: {wrong}");
            return description.Capabilities.Operations.Contains(PortOperation.Backward) && backward is null
                ? throw new PortStartException($"{DescribeName} declares backward, but the library has no {BackwardName}.")
                : description;
        }
        catch (JsonException error)
        {
            throw new PortStartException($"{DescribeName} must return JSON, not {PortReply.Shown(Encoding.UTF8.GetBytes(json))}", error);
        }
    }

    private nint Function(string name, bool optional) =>
        NativeLibrary.TryGetExport(library, name, out nint address) || optional ? address : throw new PortStartException($"The library has no function {name}; see s2attn_port.h.");

    private static string Text(byte* utf8) => utf8 is null ? "" : Marshal.PtrToStringUTF8((nint)utf8) ?? "";
}
