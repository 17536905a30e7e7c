// How does a Release test run the kernels of Debug, whose pointers carry their bounds? Their sources are compiled anew, as they are or with a fault planted.
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>S2Attn.Optimized compiled with DEBUG, in a load context of its own.</summary>
internal sealed class CheckedKernels
{
    private const string ImplicitUsings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Threading; global using System.Threading.Tasks;";

    private static readonly Lazy<ImmutableArray<(string Path, string Text)>> Sources = new(() =>
    [
        .. Directory.EnumerateFiles(Path.Combine(Repository.Root, "Optimized"), "*.cs", SearchOption.AllDirectories)
            .Select(path => (Path: Path.GetRelativePath(Repository.Root, path), path))
            .Where(file => !file.Path.Contains("/obj/", StringComparison.Ordinal) && !file.Path.Contains("/bin/", StringComparison.Ordinal) && !file.Path.Contains("/Bindings/", StringComparison.Ordinal))
            .Select(file => (file.Path, File.ReadAllText(file.path))),
    ]);

    private readonly Assembly assembly;

    private CheckedKernels(Assembly assembly) => this.assembly = assembly;

    /// <summary>The sources as they are.</summary>
    public static CheckedKernels Compile() => Compile(Sources.Value);

    /// <summary>The sources with one place of one file changed.</summary>
    public static CheckedKernels CompileWith(string file, string before, string after)
    {
        (string path, string text) = Assert.Single(Sources.Value, source => Path.GetFileName(source.Path) == file);
        int at = text.IndexOf(before, StringComparison.Ordinal);
        Assert.True(at >= 0, $"{file} has no text '{before}': plant the fault elsewhere.");
        return Compile(Sources.Value.Replace((path, text), (path, text[..at] + after + text[(at + before.Length)..])));
    }

    private static CheckedKernels Compile(ImmutableArray<(string Path, string Text)> sources)
    {
        CSharpParseOptions parse = new(LanguageVersion.Latest, preprocessorSymbols: ["DEBUG"]);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "S2Attn.Optimized",
            [.. sources.Append(("Usings.cs", ImplicitUsings)).Select(source => CSharpSyntaxTree.ParseText(source.Item2, parse, source.Item1))],
            ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
                .Where(path => Path.GetFileName(path) is not "S2Attn.Optimized.dll")
                .Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable));
        using MemoryStream image = new();
        var result = compilation.Emit(image);
        Assert.True(result.Success, string.Join('\n', result.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error)));
        image.Position = 0;
        return new(new AssemblyLoadContext("checked", isCollectible: true).LoadFromStream(image));
    }

    /// <summary>What forward and backward write for a case, dense and on one thread.</summary>
    /// <exception cref="InvalidOperationException">A kernel read or wrote outside of a buffer.</exception>
    public KernelBits Run(AttentionCase item, VectorWidth width, S2Grid? grid = null)
    {
        Type storage = item.Type switch
        {
            ElementType.F32 => typeof(float),
            ElementType.F16 => typeof(Half),
            _ => assembly.GetType("S2Attn.Optimized.BFloat16", throwOnError: true)!,
        };
        return (KernelBits)Unwrapped(() => typeof(CheckedKernels).GetMethod(nameof(RunAs), BindingFlags.NonPublic | BindingFlags.Instance)!
            .MakeGenericMethod(storage).Invoke(this, [item, width, grid])!);
    }

    private delegate void ForwardCall<T>(ReadOnlySpan<T> q, ReadOnlySpan<T> k, ReadOnlySpan<T> v, Span<T> o, Span<float> lse, ReadOnlySpan<byte> valid, CancellationToken cancellation);

    private delegate void BackwardCall<T>(
        ReadOnlySpan<T> q, ReadOnlySpan<T> k, ReadOnlySpan<T> v, ReadOnlySpan<T> o, ReadOnlySpan<float> lse, ReadOnlySpan<T> outputGradient,
        Span<float> dq, Span<float> dk, Span<float> dv, ReadOnlySpan<byte> valid, ReadOnlySpan<float> lseGradient, CancellationToken cancellation);

    private KernelBits RunAs<T>(AttentionCase item, VectorWidth width, S2Grid? grid)
        where T : unmanaged
    {
        S2Config config = item.Config;
        AttentionInput<double> input = item.BuildInput();
        Type planType = assembly.GetType("S2Attn.Optimized.S2AttentionPlan", throwOnError: true)!, optionsType = assembly.GetType("S2Attn.Optimized.S2AttentionOptions", throwOnError: true)!;
        object options = Activator.CreateInstance(optionsType)!;
        PropertyInfo widthProperty = optionsType.GetProperty(nameof(S2AttentionOptions.VectorWidth))!;
        widthProperty.SetValue(options, Enum.ToObject(widthProperty.PropertyType, (int)width));
        optionsType.GetProperty(nameof(S2AttentionOptions.Threads))!.SetValue(options, 1);
        using IDisposable plan = (IDisposable)Unwrapped(() => grid is null ? Activator.CreateInstance(planType, config, options)! : planType.GetMethod(nameof(S2AttentionPlan.OfGrid))!.Invoke(null, [grid, options])!);

        T[] q = Stored(input.Query), k = Stored(input.Key), v = Stored(input.Value), outputGradient = Stored(item.BuildOutputGradient()), o = new T[q.Length];
        byte[] valid = new byte[item.IsPadded ? config.Batch * config.Tokens : 0];
        for (int i = 0; i < valid.Length; i++)
            valid[i] = input.Valid.Elements[i] ? (byte)1 : (byte)0;
        float[] lse = new float[config.Batch * config.Tokens * config.Heads], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        Method<ForwardCall<T>>("Forward")(q, k, v, o, lse, valid, default);
        Method<BackwardCall<T>>("Backward")(q, k, v, o, lse, outputGradient, dq, dk, dv, valid, default, default);
        return new(Bytes<T>(o), Bytes<float>(lse), Bytes<float>(dq), Bytes<float>(dk), Bytes<float>(dv));

        TDelegate Method<TDelegate>(string name)
            where TDelegate : Delegate =>
            planType.GetMethods().Single(method => method.Name == name && method.GetGenericArguments().Length == 1).MakeGenericMethod(typeof(T)).CreateDelegate<TDelegate>(plan);

        T[] Stored(Tensor<double> tensor)
        {
            T[] stored = new T[tensor.Elements.Length];
            for (int i = 0; i < stored.Length; i++)
                stored[i] = MemoryMarshal.Read<T>(item.Type switch
                {
                    ElementType.F32 => BitConverter.GetBytes((float)tensor.Elements[i]),
                    ElementType.F16 => BitConverter.GetBytes((Half)tensor.Elements[i]),
                    _ => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits((float)(BFloat16)(float)tensor.Elements[i]) >> 16)),
                });
            return stored;
        }

        static byte[] Bytes<TElement>(TElement[] elements)
            where TElement : unmanaged => MemoryMarshal.AsBytes<TElement>(elements).ToArray();
    }

    private static T Unwrapped<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (TargetInvocationException exception) when (exception.InnerException is { } inner)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }
}
