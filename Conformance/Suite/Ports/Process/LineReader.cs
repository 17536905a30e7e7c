// What is the next line that a port printed? Memory stays bounded whatever it prints.
using System.Collections.Concurrent;

namespace S2Attn.Conformance.Ports;

/// <summary>What came next on a port's stdout.</summary>
internal abstract record LineEvent
{
    private LineEvent() { }

    /// <summary>A line without its end.</summary>
    public sealed record Line(byte[] Utf8) : LineEvent;

    /// <summary>A line longer than the limit; nothing is read any more.</summary>
    public sealed record TooLong : LineEvent;

    /// <summary>The end of the stream, after this many bytes without a line end.</summary>
    public sealed record End(int PartialBytes) : LineEvent;

    /// <summary>Nothing within the time limit.</summary>
    public sealed record Timeout : LineEvent;
}

/// <summary>Reads lines on its own thread. A flood fills the pipe and then stops the port, not the suite: at most two lines are held.</summary>
internal sealed class LineReader : IDisposable
{
    private readonly BlockingCollection<LineEvent> events = new(boundedCapacity: 1);
    private readonly CancellationTokenSource stop = new();
    private readonly Thread thread;

    public LineReader(Stream stream, int maxLineBytes)
    {
        thread = new(() => Read(stream, maxLineBytes)) { IsBackground = true, Name = "port stdout" };
        thread.Start();
    }

    /// <summary>The next event, or Timeout. End and TooLong are given again to whoever asks again; End also where another thread has disposed of this.</summary>
    public LineEvent Next(TimeSpan limit)
    {
        try
        {
            if (!events.TryTake(out LineEvent? next, limit < TimeSpan.Zero ? TimeSpan.Zero : limit))
                return new LineEvent.Timeout();
            if (next is not LineEvent.Line)
                events.TryAdd(next);
            return next;
        }
        catch (ObjectDisposedException)
        {
            return new LineEvent.End(0);
        }
    }

    /// <summary>Stops reading; to be called when the process has ended, so that the stream ends too.</summary>
    public void Dispose()
    {
        stop.Cancel();

        // The thread may not have come to see the end, and says nothing any more: another one that waits for a line would wait for as long as a case may take.
        events.TryAdd(new LineEvent.End(0));
        if (!thread.Join(TimeSpan.FromSeconds(5)))
            return;
        stop.Dispose();
        events.Dispose();
    }

    private void Read(Stream stream, int maxLineBytes)
    {
        byte[] buffer = new byte[1 << 14];
        using MemoryStream line = new();
        try
        {
            while (true)
            {
                int count = stream.Read(buffer);
                if (count == 0)
                {
                    events.Add(new LineEvent.End((int)line.Length), stop.Token);
                    return;
                }

                ReadOnlySpan<byte> rest = buffer.AsSpan(0, count);
                for (int end; (end = rest.IndexOf((byte)'\n')) >= 0; rest = rest[(end + 1)..])
                {
                    line.Write(rest[..end]);
                    if (line.Length > maxLineBytes)
                        break;
                    events.Add(new LineEvent.Line(line.ToArray()), stop.Token);
                    line.SetLength(0);
                }

                if (line.Length + rest.Length > maxLineBytes)
                {
                    events.Add(new LineEvent.TooLong(), stop.Token);
                    return;
                }

                line.Write(rest);
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            events.TryAdd(new LineEvent.End((int)line.Length));
        }
        catch (OperationCanceledException)
        {
            // Nobody reads any more.
        }
    }
}
