// Which Python has NumPy or PyTorch, and how is a program run to its end?
using System.ComponentModel;
using System.Diagnostics;

namespace S2Attn.Tests.Ports;

/// <summary>Programs that the tests of ports use.</summary>
internal static class PortTool
{
    private static readonly Lazy<string> NumpyPython = new(() => FindPython("numpy")), TorchPython = new(() => FindPython("torch")), TestPython = new(() => FindPython("numpy", "pytest")),
        TorchServer = new(StartTorchServer);

    // Held, because a collected Process closes its pipes.
    private static readonly List<Process> Servers = [];

    /// <summary>A Python that has NumPy, or an empty text.</summary>
    public static string PythonWithNumpy => NumpyPython.Value;

    /// <summary>A Python that has PyTorch, or an empty text.</summary>
    public static string PythonWithTorch => TorchPython.Value;

    /// <summary>The command that starts a port in PyTorch: a script and its arguments, quoted for the command line.</summary>
    public static string TorchPort(string script) => TorchServer.Value is { Length: > 0 } server ? $"{server} {script}" : $"{PythonWithTorch} {script}";

    /// <summary>A Python that has NumPy and pytest, or an empty text.</summary>
    public static string PythonWithTests => TestPython.Value;

    /// <summary>Runs a program to its end.</summary>
    /// <returns>Exit code (-1 where there is no such program) and what it said on both streams.</returns>
    public static (int ExitCode, string Output) Run(string program, IEnumerable<string> arguments, string workingDirectory = "")
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = workingDirectory };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd() + error.GetAwaiter().GetResult();
            process.WaitForExit();
            return (process.ExitCode, output);
        }
        catch (Win32Exception)
        {
            return (-1, "");
        }
    }

    // One process imports torch and forks the ports; it ends with this one, whose pipe it reads. Only Unix forks.
    private static string StartTorchServer()
    {
        if (PythonWithTorch.Length == 0 || OperatingSystem.IsWindows())
            return "";
        string script = Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "torch_server.py");
        string socket = Path.Combine(Directory.CreateTempSubdirectory("s2attn-torch-").FullName, "socket");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Path.GetDirectoryName(socket)!, recursive: true);
        Servers.Add(Process.Start(new ProcessStartInfo(PythonWithTorch, [script, "serve", socket]) { RedirectStandardInput = true, RedirectStandardOutput = true })!);
        return Servers[0].StandardOutput.ReadLine() == "ready" ? $"{PythonWithTorch} -S '{script}' run '{socket}'" : "";
    }

    // Without importing it: that alone takes seconds for a large module.
    private static string FindPython(params string[] modules) =>
        new[] { Environment.GetEnvironmentVariable("S2ATTN_PYTHON") ?? "", "python3", "/usr/bin/python3" }
            .FirstOrDefault(python => python.Length > 0
                && Run(python, ["-c", $"import importlib.util, sys; sys.exit(any(importlib.util.find_spec(name) is None for name in '{string.Join(' ', modules)}'.split()))"]).ExitCode == 0) ?? "";
}

/// <summary>
/// A test that needs a Python with NumPy or PyTorch: skipped with the reason where there is none, unless S2ATTN_REQUIRE_TOOLS=1, which makes it fail.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RequiresPythonFactAttribute : FactAttribute
{
    public RequiresPythonFactAttribute(string module)
    {
        string python = module switch { "torch" => PortTool.PythonWithTorch, "pytest" => PortTool.PythonWithTests, _ => PortTool.PythonWithNumpy };
        if (python.Length == 0 && Environment.GetEnvironmentVariable("S2ATTN_REQUIRE_TOOLS") != "1")
            Skip = $"did not run: no Python with {module}; name one in S2ATTN_PYTHON";
    }
}

/// <summary>The same for a test of many ports.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RequiresNumpyTheoryAttribute : TheoryAttribute
{
    public RequiresNumpyTheoryAttribute()
    {
        if (PortTool.PythonWithNumpy.Length == 0 && Environment.GetEnvironmentVariable("S2ATTN_REQUIRE_TOOLS") != "1")
            Skip = "did not run: no Python with numpy; name one in S2ATTN_PYTHON";
    }
}

/// <summary>The same for a test of many ports.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RequiresTorchTheoryAttribute : TheoryAttribute
{
    public RequiresTorchTheoryAttribute()
    {
        if (PortTool.PythonWithTorch.Length == 0 && Environment.GetEnvironmentVariable("S2ATTN_REQUIRE_TOOLS") != "1")
            Skip = "did not run: no Python with torch; name one in S2ATTN_PYTHON";
    }
}
