// How is a script of wrong NumPy ports asked, and what is said of one that has a name?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Ports;

/// <summary>The ports of one script, each by the name of its kind.</summary>
/// <param name="script">The script in this folder: SCRIPT SAMPLE KIND serves the port.</param>
internal sealed class NumpyKinds(string script)
{
    /// <summary>Starts the port of a kind.</summary>
    public ProcessPort Start(string kind) => ProcessPort.Start(
        $"{PortTool.PythonWithNumpy} '{Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", script)}' '{SamplePortTests.Sample("numpy", "numpy_port.py")}' {kind}", new());

    /// <summary>The first sentence says that the port is what it is, at all sizes.</summary>
    public void AssertIs(string kind, string name)
    {
        using ProcessPort port = Start(kind);
        Diagnosis diagnosis = Diagnosis.Of(port);
        string begin = $"numpy-rows is {name.Replace("+", " + ", StringComparison.Ordinal)} at all";
        Assert.True(
            diagnosis.Names.Contains(name) && diagnosis.Sentences[0].StartsWith(begin, StringComparison.Ordinal),
            $"{name} is not what is said; the names are {string.Join(", ", diagnosis.Names)}:\n{string.Join("\n", diagnosis.Sentences)}");
    }
}
