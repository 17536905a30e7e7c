// Can this test run here? Tests that need other programs say so, and say that they did not run where one is missing.
namespace S2Attn.Tests.Tools;

/// <summary>
/// A fact that needs programs on PATH. Where they are missing it is reported as skipped with the reason; with S2ATTN_REQUIRE_TOOLS=1, as in
/// .ci/run, it runs regardless, and <see cref="Tool.PathOf"/> fails it by name.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresToolFactAttribute : FactAttribute
{
    /// <summary>Needs every one of these programs.</summary>
    public RequiresToolFactAttribute(params string[] tools) => Skip = Tool.ReasonToSkip(tools, Tool.Missing(tools).Count == 0);
}

/// <summary>A theory that needs programs on PATH, as <see cref="RequiresToolFactAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresToolTheoryAttribute : TheoryAttribute
{
    /// <summary>Needs every one of these programs.</summary>
    public RequiresToolTheoryAttribute(params string[] tools) => Skip = Tool.ReasonToSkip(tools, Tool.Missing(tools).Count == 0);
}

/// <summary>A fact that needs one of several programs on PATH, as <see cref="RequiresToolFactAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresAnyToolFactAttribute : FactAttribute
{
    /// <summary>Needs one of these programs.</summary>
    public RequiresAnyToolFactAttribute(params string[] tools) => Skip = Tool.ReasonToSkip(tools, Tool.Missing(tools).Count < tools.Length);
}

/// <summary>A theory that needs one of several programs on PATH, as <see cref="RequiresToolFactAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresAnyToolTheoryAttribute : TheoryAttribute
{
    /// <summary>Needs one of these programs.</summary>
    public RequiresAnyToolTheoryAttribute(params string[] tools) => Skip = Tool.ReasonToSkip(tools, Tool.Missing(tools).Count < tools.Length);
}

/// <summary>Programs on PATH.</summary>
public static class Tool
{
    /// <summary>Where a program is.</summary>
    /// <exception cref="FileNotFoundException">It is not on PATH; the message names it.</exception>
    public static string PathOf(string tool) =>
        Find(tool) ?? throw new FileNotFoundException($"The test needs the program '{tool}', which is not on PATH. Install it, or unset S2ATTN_REQUIRE_TOOLS to skip.");

    /// <summary>Which of these programs are not on PATH.</summary>
    public static IReadOnlyList<string> Missing(IEnumerable<string> tools) => [.. tools.Where(tool => Find(tool) is null)];

    internal static string? ReasonToSkip(string[] tools, bool isThere) =>
        isThere || Environment.GetEnvironmentVariable("S2ATTN_REQUIRE_TOOLS") == "1"
            ? null
            : $"did not run: missing {string.Join(", ", Missing(tools))} on PATH";

    private static string? Find(string tool) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .SelectMany(folder => new[] { Path.Combine(folder, tool), Path.Combine(folder, tool + ".exe") })
            .FirstOrDefault(File.Exists);
}
