// What does this program mean by Console? stdout and stderr behind one place that cleans whatever a port or a file chose, and that no full disk stops.
using System.Text;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Text;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace S2Attn.Cli;

/// <summary>
/// Stands before System.Console in every command, so that none can forget: in an interpolated string each hole is cleaned and cannot begin a line of its own
/// (<see cref="CleanHandler"/>); a text that was put together before is cleaned as a whole. Tables and bars of Spectre.Console go the same way.
/// </summary>
internal static class Console
{
    private static readonly Sink OutputSink = new(System.Console.Out), ErrorSink = new(System.Console.Error);

    /// <summary>stderr.</summary>
    public static Writer Error { get; } = new(ErrorSink, !System.Console.IsErrorRedirected);

    /// <summary>stdout.</summary>
    public static Writer Out { get; } = new(OutputSink, !System.Console.IsOutputRedirected);

    /// <summary>Whether stdout is a file or pipe.</summary>
    public static bool IsOutputRedirected => System.Console.IsOutputRedirected;

    /// <summary>Whether stderr is a file or pipe.</summary>
    public static bool IsErrorRedirected => System.Console.IsErrorRedirected;

    /// <summary>Why stdout could not be written; empty where it could. A reader that closes a pipe is no failure.</summary>
    public static string Failure => OutputSink.Failure;

    /// <summary>Lets tables and bars go through this class, without escape sequences where a terminal cannot or shall not have them.</summary>
    public static void Attach()
    {
        bool plain = IsOutputRedirected || Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 } || Environment.GetEnvironmentVariable("TERM") is "dumb";
        AnsiConsole.Console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = plain ? AnsiSupport.No : AnsiSupport.Detect,
            Interactive = plain ? InteractionSupport.No : InteractionSupport.Detect,
            Out = new Terminal(OutputSink, new AnsiConsoleOutput(System.Console.Out)),
        });
        AnsiConsole.Console.Pipeline.Attach(new CleanSegments());
    }

    /// <summary>Ends a line.</summary>
    public static void WriteLine() => Out.WriteLine();

    /// <summary>Writes a line.</summary>
    public static void WriteLine(CleanHandler text) => Out.WriteLine(text);

    /// <summary>Writes a line.</summary>
    public static void WriteLine(string text) => Out.WriteLine(text);

    /// <summary>Writes a value as a line.</summary>
    public static void WriteLine<T>(T value) => Out.WriteLine(value);

    /// <summary>Writes a document of several lines.</summary>
    public static void Write(string text) => Out.Write(text);

    /// <summary>The standard input.</summary>
    public static Stream OpenStandardInput() => System.Console.OpenStandardInput();

    /// <summary>One of the two streams.</summary>
    /// <param name="sink">Where its text goes.</param>
    /// <param name="isTerminal">Whether a person reads along, for whom no word is cut at the end of a line.</param>
    internal sealed class Writer(Sink sink, bool isTerminal)
    {
        /// <summary>Ends a line.</summary>
        public void WriteLine() => sink.WriteLine();

        /// <summary>Writes a line.</summary>
        public void WriteLine(CleanHandler text) => Show(text.ToString());

        /// <summary>Writes a line that was put together before.</summary>
        public void WriteLine(string text) => Show(ForeignText.Block(text));

        /// <summary>Writes a value as a line.</summary>
        public void WriteLine<T>(T value) => WriteLine(value?.ToString() ?? "");

        /// <summary>Writes a document of several lines.</summary>
        public void Write(string text) => sink.Write(ForeignText.Document(text));

        /// <summary>Goes back to the beginning of the line and writes progress.</summary>
        public void Progress(CleanHandler text) => sink.Write($"\r{text.ToString()}");

        private void Show(string text)
        {
            foreach (string line in isTerminal ? text.Split('\n').SelectMany(Page.Wrapped) : [text])
                sink.WriteLine(line);
        }
    }

    /// <summary>A stream whose failure is remembered and ends nothing: what was found must still be kept.</summary>
    internal sealed class Sink(TextWriter writer) : TextWriter
    {
        /// <summary>Why it could not be written to; empty where it could.</summary>
        public string Failure { get; private set; } = "";

        /// <inheritdoc/>
        public override Encoding Encoding => writer.Encoding;

        /// <inheritdoc/>
        public override void Write(char value) => Try(() => writer.Write(value));

        /// <inheritdoc/>
        public override void Write(char[] buffer, int index, int count) => Try(() => writer.Write(buffer, index, count));

        /// <inheritdoc/>
        public override void Write(string? value) => Try(() => writer.Write(value));

        /// <inheritdoc/>
        public override void WriteLine() => Try(writer.WriteLine);

        /// <inheritdoc/>
        public override void WriteLine(string? value) => Try(() => writer.WriteLine(value));

        /// <inheritdoc/>
        public override void Flush() => Try(writer.Flush);

        private void Try(Action write)
        {
            try
            {
                if (Failure.Length == 0)
                    write();
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                Failure = error.Message;
            }
        }
    }

    private sealed class Terminal(TextWriter writer, IAnsiConsoleOutput real) : IAnsiConsoleOutput
    {
        public TextWriter Writer => writer;

        public bool IsTerminal => real.IsTerminal;

        public int Width => real.Width;

        public int Height => real.Height;

        public void SetEncoding(Encoding encoding) => real.SetEncoding(encoding);
    }

    private sealed class CleanSegments : IRenderHook
    {
        public IEnumerable<IRenderable> Process(RenderOptions options, IEnumerable<IRenderable> renderables) => renderables.Select(item => new Cleaned(item));
    }

    private sealed class Cleaned(IRenderable inner) : IRenderable
    {
        public Measurement Measure(RenderOptions options, int maxWidth) => inner.Measure(options, maxWidth);

        public IEnumerable<Segment> Render(RenderOptions options, int maxWidth) =>
            inner.Render(options, maxWidth).Select(segment => segment.IsControlCode || segment.IsLineBreak ? segment : new Segment(ForeignText.Document(segment.Text), segment.Style));
    }
}
