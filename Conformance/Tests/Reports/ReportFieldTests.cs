// Does each field of each form of a report say what it is named for? A run in which no two values are alike, written down by hand in every form.
using System.Collections.Immutable;
using System.Text.RegularExpressions;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;
using S2Attn.Spec;

namespace S2Attn.Tests.Reports;

public sealed partial class ReportFieldTests
{
    // One row of each outcome, one level of each standing.
    private static readonly Report Run = new(
        "s2attn 9.8.7", 71, 72, "", Complete: false, TimeSpan.FromSeconds(73.5),
        [
            Row("holds", Outcome.Holds, 11, 1.25),
            Row("fails", Outcome.Fails, 12, 2.25),
            Row("crashes", Outcome.PortFailed, 13, 3.25),
            Row("unasked", Outcome.Unsupported, 0, 4.25),
            Row("lacks", Outcome.Lacks, 14, 5.25),
            Row("stopped", Outcome.Interrupted, 15, 6.25),
        ],
        [
            new("mine", new("the name", "the version", "the language", new(
                [PortOperation.Forward], [ElementType.F32, ElementType.F16], [MaskPolicy.Split], GroupedQuery: false, Padding: false, OddGroup: false, Ragged: false, 64)),
                [
                    new(PortLevel.Forward, LevelStanding.Earned, [new("plain", 21), new("shifted", 22)], ""),
                    new(PortLevel.MasksAndPadding, LevelStanding.NotClaimed, [], "reason of 2"),
                    new(PortLevel.GroupedAndOddSizes, LevelStanding.Unproven, [new("odd", 0)], "reason of 3"),
                    new(PortLevel.HalfPrecision, LevelStanding.Denied, [new("half", 23)], "reason of 4"),
                    new(PortLevel.Gradients, LevelStanding.NotJudged, [], "reason of 5"),
                ])
            {
                Diagnosis = [new Diagnosis(["name of a bug"], ["what to do"], [])],
            },
        ],
        [new("a variant", "its difference", ["one", "two"], [new("case of a variant", "reason of a variant", "draw of a variant", 31)])])
    {
        Arguments = ["--port", "mine"],
    };

    [Fact]
    public void Every_field_of_the_JSON_form_is_its_own() => Assert.Equal(
        """
        {"schema":"s2attn-report","version":1,"tool":"s2attn 9.8.7","seed":71,"cases":72,"filter":"","complete":false,"conforms":false,"seconds":73.5,
        "ports":[{"subject":"mine","name":"the name","version":"the version","language":"the language","levelsClaimed":[1,4],"levelsEarned":[1],
        "levels":[{"level":1,"title":"forward f32","standing":"earned","reason":"","evidence":[{"kind":"plain","held":21},{"kind":"shifted","held":22}]},
        {"level":2,"title":"masks and padding","standing":"not claimed","reason":"reason of 2","evidence":[]},
        {"level":3,"title":"GQA and odd sizes","standing":"not shown","reason":"reason of 3","evidence":[{"kind":"odd","held":0}]},
        {"level":4,"title":"half precision","standing":"not earned","reason":"reason of 4","evidence":[{"kind":"half","held":23}]},
        {"level":5,"title":"gradients","standing":"not judged","reason":"reason of 5","evidence":[]}],
        "diagnosis":{"names":["name of a bug"],"sentences":["what to do"]}}],
        "results":[{"subject":"mine","name":"holds","statement":"statement of holds","region":"region of holds","outcome":"holds","cases":11,"unsupported":{"no holds":3},"counterexample":null,"seconds":1.25},
        {"subject":"mine","name":"fails","statement":"statement of fails","region":"region of fails","outcome":"fails","cases":12,"unsupported":{"no fails":3},"counterexample":{"case":"case of fails","reason":"reason of fails","drawnAs":"draw of fails","shrinks":4},"seconds":2.25},
        {"subject":"mine","name":"crashes","statement":"statement of crashes","region":"region of crashes","outcome":"portFailed","cases":13,"unsupported":{"no crashes":3},"counterexample":{"case":"case of crashes","reason":"reason of crashes","drawnAs":"draw of crashes","shrinks":4},"seconds":3.25},
        {"subject":"mine","name":"unasked","statement":"statement of unasked","region":"region of unasked","outcome":"unsupported","cases":0,"unsupported":{"no unasked":3},"counterexample":null,"seconds":4.25},
        {"subject":"mine","name":"lacks","statement":"statement of lacks","region":"region of lacks","outcome":"lacks","cases":14,"unsupported":{"no lacks":3},"counterexample":{"case":"case of lacks","reason":"reason of lacks","drawnAs":"draw of lacks","shrinks":4},"seconds":5.25},
        {"subject":"mine","name":"stopped","statement":"statement of stopped","region":"region of stopped","outcome":"interrupted","cases":15,"unsupported":{"no stopped":3},"counterexample":null,"seconds":6.25}],
        "variants":[{"name":"a variant","difference":"its difference","caughtBy":["one","two"],"example":{"case":"case of a variant","reason":"reason of a variant","drawnAs":"draw of a variant","shrinks":31}}]}
        """.Replace("\n", "", StringComparison.Ordinal),
        System.Text.Json.Nodes.JsonNode.Parse(JsonReport.Write(Run))!.ToJsonString());

    [Fact]
    public void Every_field_of_the_JUnit_form_is_its_own() => Assert.Equal(
        """
        <testsuites name="s2attn" time="73.500">
          <testsuite name="mine" tests="6" failures="1" errors="1" skipped="3" time="22.500">
            <properties>
              <property name="seed" value="71" />
              <property name="cases" value="72" />
              <property name="complete" value="false" />
              <property name="level.1" value="forward f32: earned; plain: 21; shifted: 22" />
              <property name="level.2" value="masks and padding: not claimed; reason of 2" />
              <property name="level.3" value="GQA and odd sizes: not shown; reason of 3" />
              <property name="level.4" value="half precision: not earned; reason of 4" />
              <property name="level.5" value="gradients: not judged; reason of 5" />
            </properties>
            <testcase classname="mine" name="holds" time="1.250" />
            <testcase classname="mine" name="fails" time="2.250">
              <failure message="reason of fails">statement of fails (region of fails)
        smallest case: case of fails
        reason of fails</failure>
            </testcase>
            <testcase classname="mine" name="crashes" time="3.250">
              <error message="reason of crashes">statement of crashes (region of crashes)
        smallest case: case of crashes
        reason of crashes</error>
            </testcase>
            <testcase classname="mine" name="unasked" time="4.250">
              <skipped message="no unasked" />
            </testcase>
            <testcase classname="mine" name="lacks" time="5.250">
              <skipped message="level 6 isolation is missing, which the port does not claim: case of lacks: reason of lacks" />
            </testcase>
            <testcase classname="mine" name="stopped" time="6.250">
              <skipped message="interrupted" />
            </testcase>
          </testsuite>
        </testsuites>

        """, JUnitReport.Write(Run));

    /// <summary>The words of the page, in the order in which a reader meets them.</summary>
    [Fact]
    public void Every_field_of_the_HTML_form_is_its_own()
    {
        string words = WhiteSpace().Replace(Tag().Replace(HtmlReport.Write(Run with { Filter = "it's" }).Split("</style>")[1], " "), " ");
        int at = 0;
        foreach (string expected in new[]
        {
            " S2-Attn conformance report stopped: the results are partial ",
            "1 of 5 rows hold (1 shows only that level 6 is missing), 65 cases; 1 row not asked, for the declaration leaves out what it needs. 73.5 s, by s2attn 9.8.7 with seed 71. The same cases again: ",
            "s2attn check --port mine --seed 71 --cases 72 --filter &#39;it&#39;\\&#39;&#39;s&#39; ",
            "mine the version (the language) What is wrong what to do Levels ",
            "1 forward f32 earned 43 plain: 21; shifted: 22 ",
            "2 masks and padding not claimed 0 reason of 2 ",
            "3 GQA and odd sizes not shown 0 reason of 3 ",
            "4 half precision not earned 23 reason of 4 ",
            "5 gradients not judged 0 reason of 5 ",
            "fails statement of fails (region of fails) fails 12 case of fails reason of fails ",
            "crashes statement of crashes (region of crashes) port failed 13 case of crashes reason of crashes ",
            "lacks statement of lacks (region of lacks) lacks level 6 14 case of lacks reason of lacks ",
            "holds statement of holds (region of holds) holds 11 ",
            "stopped statement of stopped (region of stopped) interrupted 15 ",
            "unasked statement of unasked (region of unasked) not asked 0 no unasked ",
            "no holds 3 no fails 3 no crashes 3 no unasked 3 no lacks 3 no stopped 3 ",
            "a variant its difference one, two case of a variant reason of a variant ",
        })
        {
            int found = words.IndexOf(expected, at, StringComparison.Ordinal);
            Assert.True(found >= 0, $"'{expected}' is not in '{words[at..]}'");
            at = found + expected.Length - 1;
        }
    }

    public static TheoryData<bool, string, Outcome, bool, string, string> Badges => new()
    {
        { true, "", Outcome.Holds, true, "level 1", "#1a7f37" },
        { true, "", Outcome.Holds, false, "no level earned", "#57606a" },
        { true, "part", Outcome.Holds, true, "checked in part", "#57606a" },
        { true, "", Outcome.Fails, true, "does not conform", "#b3261e" },
        { true, "part", Outcome.Fails, true, "does not conform", "#b3261e" },
        { true, "part", Outcome.PortFailed, false, "does not conform", "#b3261e" },
        { true, "", Outcome.Unsupported, false, "no level earned", "#57606a" },
        { true, "", Outcome.Lacks, true, "no level earned", "#57606a" },
        { false, "", Outcome.Holds, true, "stopped", "#57606a" },
        { false, "part", Outcome.Fails, true, "stopped", "#57606a" },
    };

    [Theory]
    [MemberData(nameof(Badges))]
    public void A_badge_has_the_words_and_the_colour_of_its_run(bool complete, string filter, Outcome outcome, bool earned, string words, string colour)
    {
        ReportPort port = Run.Ports[0];
        Report run = Run with
        {
            Complete = complete,
            Filter = filter,
            Results = [Row("only", outcome, outcome is Outcome.Unsupported ? 0 : 5, 1)],
            Ports = [earned ? port : port with { Levels = [port.Levels[0] with { Standing = LevelStanding.Unproven }] }],
        };
        string badge = Badge.Write(run, new DateOnly(2031, 2, 3));
        Assert.Contains($"<title>S2-Attn conformance of the name: {words} | 9.8.7 | 2031-02-03</title>", badge, StringComparison.Ordinal);
        Assert.Contains($">{words} | 9.8.7 | 2031-02-03</text>", badge, StringComparison.Ordinal);
        Assert.Equal(["#24292f", colour, "#fff"], Fill().Matches(badge).Select(match => match.Groups[1].Value));
    }

    private static PropertyResult Row(string name, Outcome outcome, int cases, double seconds) => new(
        "mine", name, $"statement of {name}", $"region of {name}", outcome, cases,
        ImmutableSortedDictionary<string, int>.Empty.Add($"no {name}", 3),
        outcome is Outcome.Fails or Outcome.PortFailed or Outcome.Lacks ? [new($"case of {name}", $"reason of {name}", $"draw of {name}", 4)] : [],
        [], TimeSpan.FromSeconds(seconds));

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tag();

    [GeneratedRegex(@"\s+")]
    private static partial Regex WhiteSpace();

    [GeneratedRegex("fill=\"(#[0-9a-f]+)\"")]
    private static partial Regex Fill();
}
