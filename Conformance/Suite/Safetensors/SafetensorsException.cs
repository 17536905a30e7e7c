// What is wrong with a .safetensors file?
namespace S2Attn.Conformance.Safetensors;

/// <summary>A file that breaks a rule of the format, or that cannot be read. The message names the file and the rule.</summary>
public sealed class SafetensorsException : Exception
{
    /// <summary>Creates the exception for a broken rule.</summary>
    public SafetensorsException(string file, string rule)
        : base($"{file}: {rule}") => (File, Rule) = (file, rule);

    /// <summary>Creates the exception for a rule whose breach another exception reports.</summary>
    public SafetensorsException(string file, string rule, Exception cause)
        : base($"{file}: {rule}", cause) => (File, Rule) = (file, rule);

    /// <summary>The file as the caller named it.</summary>
    public string File { get; }

    /// <summary>The rule that it breaks, with the offending value.</summary>
    public string Rule { get; }
}
