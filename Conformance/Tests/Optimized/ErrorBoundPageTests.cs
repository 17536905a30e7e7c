// Does docs/error-bounds.md speak of code that exists?
using System.Reflection;
using System.Text.RegularExpressions;
using S2Attn.Conformance;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;

namespace S2Attn.Tests.Optimized;

public sealed partial class ErrorBoundPageTests
{
    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "error-bounds.md"));

    private const BindingFlags Any = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    public static TheoryData<string> Members() => [.. MemberName().Matches(Page).Select(match => match.Groups[1].Value).Distinct()];

    [Theory]
    [MemberData(nameof(Members))]
    public void Every_named_member_exists(string name)
    {
        string[] path = name.Split('.');
        Type[] types = [.. new[] { typeof(S2AttentionPlan), typeof(ErrorBound), typeof(Agreement) }
            .SelectMany(type => type.Assembly.GetTypes())
            .Where(type => type.Name.Split('`')[0] == path[^2])];
        Assert.Contains(types, type => type.GetMember(path[^1], Any).Length > 0);
    }

    [Fact]
    public void The_page_names_the_functions_of_both_passes()
    {
        string[] names = [.. MemberName().Matches(Page).Select(match => match.Groups[1].Value)];
        Assert.Contains("Panel.SoftmaxStep", names);
        Assert.Contains("Panel.SoftmaxGradient", names);
        Assert.Contains("Exponential.PowerOfTwo", names);
    }

    [GeneratedRegex(@"`([A-Z]\w*(?:\.[A-Z]\w*)+)(?:\([^`]*\))?`")]
    private static partial Regex MemberName();
}
