// What is trouble that is not the port's?
namespace S2Attn.Conformance.Validation;

/// <summary>The suite cannot go on for a reason that speaks of no port: a full disk, a folder that vanished. What was found so far stays.</summary>
public sealed class TroubleException : Exception
{
    /// <summary>Creates the exception.</summary>
    public TroubleException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with its cause.</summary>
    public TroubleException(string message, Exception cause)
        : base(message, cause)
    {
    }
}
