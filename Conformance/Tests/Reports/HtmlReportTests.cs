// Is the HTML report readable in a browser, light, dark and on a phone, whatever a port says? Is the badge an SVG that says what was earned?
using System.Collections.Immutable;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Reports;

public sealed partial class HtmlReportTests
{
    private const string Hostile = "<script>alert(1)</script>\"'&\u0000\u202e</svg>";

    private static readonly DateOnly Day = new(2026, 11, 24);

    private static Report Of(IAttentionPort port, int cases = 10)
    {
        SuiteOptions options = new() { Seed = 3, Cases = cases };
        string subject = port.Description.Name;
        ImmutableArray<PropertyResult> results = [.. SuiteRunner.Results(options, PropertyCatalogue.All, subject, port)];
        ReportPort item = ReportPort.Of(subject, port.Description, results, whole: true).Diagnosed(port, results, default).Portrayed(port, results, default);
        return new("s2attn 0.1.0", 3, cases, "", true, TimeSpan.Zero, results, [item], []) { Arguments = ["--port 'python3 my_port.py'"] };
    }

    [Fact]
    public void A_wrong_port_is_told_what_is_wrong_and_sees_its_masks_beside_the_definition()
    {
        using IAttentionPort port = MutantCatalogue.All[0].Open();
        Report report = Of(port);
        string page = HtmlReport.Write(report);
        Assert.All(report.Ports[0].Diagnosis[0].Sentences, sentence => Assert.Contains(System.Net.WebUtility.HtmlEncode(sentence), page, StringComparison.Ordinal));
        XElement[] drawings = [.. Drawings(page)];
        Assert.Contains(drawings, svg => svg.Descendants().Any(path => (string?)path.Attribute("class") is "extra" or "missing" or "foreign"));
        Assert.Equal(0, drawings.Length % 2);
        Assert.Contains("does NOT conform", page, StringComparison.Ordinal);
        Assert.Contains("s2attn check --port &#39;python3 my_port.py&#39; --seed 3 --cases 10", page, StringComparison.Ordinal);
        Assert.Contains("does not conform | 0.1.0 | 2026-11-24", Badge.Write(report, Day), StringComparison.Ordinal);
    }

    [Fact]
    public void A_right_port_shows_each_mask_and_every_level_on_its_badge()
    {
        using ReferencePort port = new();
        Report report = Of(port);
        XElement[] drawings = [.. Drawings(HtmlReport.Write(report))];
        Assert.True(drawings.Length >= 2 * 5, $"{drawings.Length} drawings");
        Assert.All(drawings, svg => Assert.Contains(svg.Elements(), path => (string?)path.Attribute("class") == "hit"));
        Assert.All(drawings, svg => Assert.True(svg.Elements("path").Count() <= 5));
        XElement badge = XDocument.Parse(Badge.Write(report, Day)).Root!;
        Assert.Equal("S2-Attn conformance of reference: levels 1-6 | 0.1.0 | 2026-11-24", badge.Elements().First().Value);
        Assert.Contains("checked in part", Badge.Write(report with { Filter = "Leak" }, Day), StringComparison.Ordinal);
        Assert.Contains("stopped", Badge.Write(report with { Complete = false }, Day), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Badge.Write(report with { Ports = [] }, Day));
    }

    [Fact]
    public void The_cells_of_a_drawing_are_those_of_the_matrix()
    {
        using IAttentionPort port = MutantCatalogue.All[0].Open();
        var picture = Conformance.Xray.HeadPicture.Of(Conformance.Xray.Diagnosis.Of(port).Report[0].Pictures.First(item => !item.Words.IsEmpty));
        foreach (var head in picture)
        {
            XElement svg = XElement.Parse(HtmlMask.Port(head, 4, "a", "t"));
            foreach ((string kind, _, Func<Conformance.Xray.Cell, bool> has) in HtmlMask.Kinds)
            {
                string path = (string?)svg.Elements("path").SingleOrDefault(item => (string?)item.Attribute("class") == kind)?.Attribute("d") ?? "";
                var drawn = Run().Matches(path).SelectMany(run => Enumerable.Range(int.Parse(run.Groups[1].Value), int.Parse(run.Groups[3].Value)).Select(u => (int.Parse(run.Groups[2].Value), u)));
                Assert.Equal(from t in Enumerable.Range(0, head.Rows.Length) from u in Enumerable.Range(0, head.Rows.Length) where has(head.Rows[t][u]) select (t, u), drawn);
            }
        }
    }

    /// <summary>A border is drawn in front of every token that is of another group, or another run, than the one before it.</summary>
    [Theory]
    [InlineData(1, 0)]
    [InlineData(4, 0)]
    [InlineData(4, 1)]
    [InlineData(4, 3)]
    [InlineData(6, 2)]
    [InlineData(12, 5)]
    public void The_borders_of_a_drawing_are_those_of_the_groups(int groupSize, int shift)
    {
        const int Tokens = 12;
        ImmutableArray<Conformance.Xray.Cell> row = [.. new Conformance.Xray.Cell[Tokens]];
        Conformance.Xray.HeadPicture head = new(0, [0], shift, [.. Enumerable.Repeat(row, Tokens)]);
        int[] expected = [.. Enumerable.Range(1, Tokens - 1).Where(t => PlaceOf(t - 1) != PlaceOf(t))];
        foreach (string svg in new[] { HtmlMask.Port(head, groupSize, "a", "t"), HtmlMask.Definition(head, groupSize, "a", "t") })
        {
            string path = (string)XElement.Parse(svg).Elements("path").Single(item => (string?)item.Attribute("class") == "border").Attribute("d")!;
            Assert.Equal(string.Concat(expected.Select(t => $"M{t} 0V{Tokens}M0 {t}H{Tokens}")), path);
        }

        (long Group, bool Run) PlaceOf(int t)
        {
            TokenPlace<Int, Bool> place = Visibility.Place<Int, Bool>(Tokens, groupSize, shift, t);
            return (place.Group.Value, place.Run.Value);
        }
    }

    [Fact]
    public void What_a_port_says_stays_text()
    {
        using Properties.MutantPort port = new(Hostile, _ => new PortAnswer.Failed(PortFailureKind.Crash, Hostile));
        Report report = Of(port, 2);
        string page = HtmlReport.Write(report), badge = Badge.Write(report, Day);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("&lt;script&gt;", page, StringComparison.Ordinal);
        Assert.DoesNotContain(page, c => c is '\u0000' or '\u202e');
        Assert.Single(XDocument.Parse(badge).Descendants(), item => item.Name.LocalName == "svg");
        Assert.DoesNotContain("://", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(HtmlStyle.Light)]
    [InlineData(HtmlStyle.Dark)]
    public void Text_and_cells_have_a_contrast_of_4_5_on_both_grounds(string theme)
    {
        Dictionary<string, double> luminance = Colour().Matches(theme).ToDictionary(match => match.Groups[1].Value, match => Luminance(match.Groups[2].Value));
        foreach (string ground in new[] { "page", "card" })
        {
            Assert.All(["text", "quiet", "good", "bad", "care"], ink => Assert.True(Contrast(ink, ground) >= 4.5, $"{ink} on {ground}: {Contrast(ink, ground)}"));
            Assert.All(["hit", "extra", "missing", "foreign"], ink => Assert.True(Contrast(ink, ground) >= 4.5, $"{ink} on {ground}: {Contrast(ink, ground)}"));
        }

        double Contrast(string a, string b) => (Math.Max(luminance[a], luminance[b]) + 0.05) / (Math.Min(luminance[a], luminance[b]) + 0.05);

        // WCAG 2.2, relative luminance.
        static double Luminance(string hex)
        {
            double[] linear = [.. Convert.FromHexString(hex).Select(part => part / 255.0).Select(c => c <= 0.04045 ? c / 12.92 : Math.Pow((c + 0.055) / 1.055, 2.4))];
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        }
    }

    [RequiresToolFact("chromium")]
    public void A_browser_shows_it_on_a_phone_in_light_and_in_dark() => SamplePortTests.InTemporary(folder =>
    {
        using IAttentionPort port = MutantCatalogue.All[0].Open();
        File.WriteAllText(Path.Combine(folder, "report.html"), HtmlReport.Write(Of(port)));

        // A headless window is never narrower than 500 pixels; a frame is.
        File.WriteAllText(Path.Combine(folder, "phone.html"), """
            <!DOCTYPE html><iframe src="report.html" style="width:360px;height:800px;border:0"></iframe>
            <script>onload = () => {
                const frame = document.querySelector('iframe'), page = frame.contentDocument.documentElement;
                for (const item of page.querySelectorAll('details')) item.open = true;
                const mask = page.querySelector('svg.mask').getBoundingClientRect();
                document.documentElement.setAttribute('data-seen', [frame.contentWindow.innerWidth, page.scrollWidth - page.clientWidth, Math.round(mask.width) > 100,
                    frame.contentWindow.getComputedStyle(page.querySelector('body')).backgroundColor].join(';'));
            };</script>
            """);
        Assert.Equal("360;0;true;rgb(255, 255, 255)", Seen(1));
        Assert.Equal("360;0;true;rgb(14, 18, 23)", Seen(0));

        string Seen(int colourScheme)
        {
            (int code, string output) = PortTool.Run(Tool.PathOf("chromium"),
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", $"--user-data-dir={folder}/profile",
                $"--blink-settings=preferredColorScheme={colourScheme}", "--dump-dom", "file://" + Path.Combine(folder, "phone.html"),
            ]);
            Match seen = Attribute().Match(output);
            Assert.True(code == 0 && seen.Success, $"exit code {code}: {output}");
            return seen.Groups[1].Value;
        }
    });

    private static IEnumerable<XElement> Drawings(string page) => Drawing().Matches(page).Select(match => XElement.Parse(match.Value));

    [GeneratedRegex("<svg class=\"mask\".*?</svg>", RegexOptions.Singleline)]
    private static partial Regex Drawing();

    [GeneratedRegex("M(\\d+) (\\d+)h(\\d+)v1h-\\d+z")]
    private static partial Regex Run();

    [GeneratedRegex("--(\\w+):#(\\w{6})")]
    private static partial Regex Colour();

    [GeneratedRegex("data-seen=\"([^\"]*)\"")]
    private static partial Regex Attribute();
}
