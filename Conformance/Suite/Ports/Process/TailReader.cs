// What did a port say last on stderr?
using System.Text;
using S2Attn.Conformance.Text;

namespace S2Attn.Conformance.Ports;

/// <summary>Drains stderr on its own thread, so that a talkative port never blocks, passes it on, and keeps the last bytes.</summary>
internal sealed class TailReader
{
    private readonly object gate = new();
    private readonly byte[] tail;
    private readonly Thread thread;
    private int kept;

    public TailReader(Stream stream, int tailBytes, TextWriter log)
    {
        tail = new byte[Math.Max(tailBytes, 1)];
        thread = new(() => Read(stream, log)) { IsBackground = true, Name = "port stderr" };
        thread.Start();
    }

    /// <summary>Waits for the end of stderr, for a short while: a grandchild may keep it open.</summary>
    public void WaitForEnd(TimeSpan limit) => thread.Join(limit);

    /// <summary>The last lines, cleaned; empty where nothing was said.</summary>
    public string Text
    {
        get
        {
            lock (gate)
                return ForeignText.Lines(Encoding.UTF8.GetString(tail, 0, kept)).Trim();
        }
    }

    private void Read(Stream stream, TextWriter log)
    {
        byte[] buffer = new byte[1 << 12];
        char[] text = new char[buffer.Length + 1];
        Decoder decoder = Encoding.UTF8.GetDecoder();
        try
        {
            for (int count; (count = stream.Read(buffer)) > 0;)
            {
                Keep(buffer.AsSpan(0, count));
                if (!TryLog(log, text.AsSpan(0, decoder.GetChars(buffer, 0, count, text, 0))))
                    log = TextWriter.Null;
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The stream was closed: what was kept stays.
        }
    }

    // A log that takes no more, as on a full disk, must not block the port, whose next words would fill the pipe.
    private static bool TryLog(TextWriter log, ReadOnlySpan<char> text)
    {
        try
        {
            lock (log)
            {
                log.Write(text);
                log.Flush();
            }

            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            bytes = bytes[Math.Max(0, bytes.Length - tail.Length)..];
            int old = Math.Min(kept, tail.Length - bytes.Length);
            tail.AsSpan(kept - old, old).CopyTo(tail);
            bytes.CopyTo(tail.AsSpan(old));
            kept = old + bytes.Length;
        }
    }
}
