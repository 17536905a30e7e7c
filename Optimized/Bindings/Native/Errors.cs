// What does a caller of C read where a call failed? A code, and the message of the checks with the names of s2attn.h.
using System.Text;
using System.Text.RegularExpressions;
using S2Attn.Spec;

namespace S2Attn.Native;

/// <summary>S2ATTN_SUCCESS and S2ATTN_ERROR_*; what the loader alone answers is not among them.</summary>
internal enum Status
{
    Success = 0,
    Argument = 1,
    Unsupported = 2,
    Handle = 3,
    Busy = 4,
    Memory = 6,
    Internal = 7,
}

/// <summary>The last error of each thread.</summary>
internal static partial class Errors
{
    [ThreadStatic]
    private static string? last;

    /// <summary>The message of this thread's last failure.</summary>
    public static string Last => last ?? "";

    /// <summary>Runs what may throw, and answers with its code: nothing crosses the border. Calls that must allocate nothing do the same in place.</summary>
    public static int Guard(Action call)
    {
        try
        {
            call();
            return (int)Status.Success;
        }
        catch (Exception error)
        {
            return Fail(error);
        }
    }

    /// <summary>Keeps the message, and answers with its code.</summary>
    public static int Fail(Exception error) => error switch
    {
        InvalidConfigException invalid => Fail(Status.Argument, string.Join("; ", invalid.Errors.Select(rule => $"{CName(rule.Field)} = {rule.Value}: {WithCNames(rule.Rule)}"))),
        NativeArgumentException => Fail(Status.Argument, error.Message),
        ArgumentException argument => Fail(Status.Argument, WithCNames(WithoutParameter(argument))),
        NativeUnsupportedException or NotSupportedException => Fail(Status.Unsupported, error.Message),
        UnknownHandleException or ObjectDisposedException => Fail(Status.Handle, error.Message),
        BusyException => Fail(Status.Busy, error.Message),
        OutOfMemoryException => Fail(Status.Memory, "out of memory, or no more threads can be started"),
        _ => Fail(Status.Internal, error.ToString()),
    };

    /// <summary>Keeps the message, and answers with the code.</summary>
    public static int Fail(Status status, string message)
    {
        last = message;
        return (int)status;
    }

    /// <summary>Writes the last message as UTF-8 with a final 0, cut to the buffer.</summary>
    public static unsafe void CopyTo(byte* buffer, int size)
    {
        if (buffer == null || size < 1)
            return;
        Span<byte> target = new(buffer, size);
        Encoding.UTF8.GetEncoder().Convert(Last, target[..^1], flush: true, out _, out int used, out _);
        target[used] = 0;
    }

    // .NET appends the parameter's name and value, and says of a null only that there is one. A message that does not begin with the name gets it in front.
    private static string WithoutParameter(ArgumentException error)
    {
        if (error is ArgumentNullException)
            return $"{error.ParamName} is NULL";
        if (error.ParamName is not { Length: > 0 } name)
            return error.Message;
        string message = error.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal).Split('\n')[0];
        return message.StartsWith(name, StringComparison.Ordinal) ? message : $"{name}: {message}";
    }

    private static string WithCNames(string message) => Names().Replace(message, match => CName(match.Value));

    private static string CName(string name) => name switch
    {
        "query" or "options.Query" => "q",
        "key" or "options.Key" => "k",
        "value" or "options.Value" => "v",
        "output" or "options.Output" => "o",
        "logSumExp" or "options.LogSumExp" => "lse",
        "outputGradient" or "options.OutputGradient" => "output_gradient",
        "logSumExpGradient" or "options.LogSumExpGradient" => "dlse",
        "queryGradient" or "options.QueryGradient" => "dq",
        "keyGradient" or "options.KeyGradient" => "dk",
        "valueGradient" or "options.ValueGradient" => "dv",
        "cumulativeLengths" => "cu_seqlens",
        "options.Threads" => "threads",
        "Axes" => "axes",
        "grid" => "config",
        "options.Sequences" => "sequences",
        "options.MaxChunk" => "max_chunk",
        "Batch*Tokens*Heads*HeadDim" => "batch*tokens*heads*head_dim",
        _ => SnakeCase().Replace(name, "_$0").ToLowerInvariant(),
    };

    [GeneratedRegex(@"\boptions\.(Threads|Sequences|MaxChunk|(Query|Key|Value|Output|LogSumExp)(Gradient)?)\b|\b(query|key|value|output|logSumExp)(Gradient)?\b(?= (is|has|overlaps|reaches|=)|[,.:]|')|\bcumulativeLengths\b|\b(Batch|Tokens|Heads|KvHeads|HeadDim|GroupSize|Shift|Prefix|Mask|Scale|FirstQuery|EndQuery|FirstKey|EndKey|IsUnbounded|MaxChunk)\b(?= =)")]
    private static partial Regex Names();

    [GeneratedRegex("(?<=[a-z])[A-Z]")]
    private static partial Regex SnakeCase();
}
