// How does the HTML report look, in light and dark, on a phone and on paper?
namespace S2Attn.Conformance.Reports;

/// <summary>The style sheet of <see cref="HtmlReport"/>; every colour is a variable of one of two themes.</summary>
internal static class HtmlStyle
{
    /// <summary>The colours of the light theme. Text on "page" and on "card", and cells on "card", have a contrast of at least 4.5 : 1.</summary>
    public const string Light = "--page:#ffffff;--card:#f5f7fa;--line:#cfd6de;--text:#1b1f24;--quiet:#535c66;--good:#116329;--bad:#a40e26;--care:#7a4d00;--hit:#3567b5;--extra:#c8102e;--missing:#946200;--foreign:#a0269a";

    /// <summary>The colours of the dark theme.</summary>
    public const string Dark = "--page:#0e1217;--card:#171d25;--line:#36404c;--text:#e6edf3;--quiet:#9da7b3;--good:#4ac26b;--bad:#ff8a80;--care:#e3b341;--hit:#5d9bf0;--extra:#ff5a4f;--missing:#f0c64a;--foreign:#e07be0";

    /// <summary>The cells of a drawn mask and the borders of its groups.</summary>
    public const string Cells = ".hit{fill:var(--hit)}.extra{fill:var(--extra)}.missing{fill:var(--missing)}.foreign{fill:var(--foreign)}.border{fill:none;stroke:var(--quiet);stroke-width:1px;vector-effect:non-scaling-stroke;stroke-dasharray:2 2}";

    /// <summary>The style sheet.</summary>
    public const string Css = $$"""
        :root{color-scheme:light dark;{{Light}} }
        @media(prefers-color-scheme:dark){:root{ {{Dark}} } }
        *{box-sizing:border-box}
        body{margin:0 auto;padding:1rem;max-width:66rem;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
        h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.25rem;margin:2.5rem 0 .5rem;border-top:2px solid var(--line);padding-top:1rem}h3{font-size:1rem;margin:1.5rem 0 .5rem}
        code,pre{font:.875em ui-monospace,monospace}pre{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.6rem;white-space:pre-wrap;margin:.5rem 0}
        .quiet,.quiet *{color:var(--quiet)}.small{font-size:.875rem}.good{color:var(--good)}.bad{color:var(--bad)}.care{color:var(--care)}.word{font-weight:600;white-space:nowrap}
        .verdict{display:inline-block;border:2px solid;border-radius:2rem;padding:.1rem .9rem;font-weight:700}
        .box{background:var(--card);border-left:.3rem solid var(--bad);padding:.5rem .8rem;border-radius:.2rem}.box p{margin:.3rem 0}
        table{border-collapse:collapse;width:100%;font-size:.875rem}caption{text-align:left;color:var(--quiet);padding-bottom:.3rem}
        th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);font-weight:400}thead th{color:var(--quiet);white-space:nowrap}.rows td:nth-child(3){white-space:nowrap}tbody th{font-weight:600}tbody th .quiet{font-weight:400}
        .levels{width:auto}.pairs{display:flex;flex-wrap:wrap;gap:1rem 2rem}figure{margin:.5rem 0;width:min(100%,31rem)}figcaption{font-size:.875rem;margin-bottom:.3rem}
        .pair{display:grid;grid-template-columns:1fr 1fr;gap:.7rem}.mask{display:block;width:100%;shape-rendering:crispEdges;border:1px solid var(--line)}
        .paper{fill:var(--card)}{{Cells}}
        .legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.5rem 0;font-size:.875rem}.legend svg{width:.9rem;height:.9rem;vertical-align:-.1rem;margin-right:.4rem}
        summary{cursor:pointer;padding:.3rem 0}
        @media(max-width:40rem){.rows thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}.rows table,.rows tbody,.rows caption,.rows tr,.rows th,.rows td{display:block}.rows tr{border-bottom:1px solid var(--line);padding:.4rem 0}.rows th,.rows td{border:0;padding:.1rem 0}.rows td:empty{display:none}.rows td[data-label]::before{content:attr(data-label) ": ";color:var(--quiet)} }
        @media print{body{max-width:none}h2,figure,tr{break-inside:avoid} }
        """;
}
