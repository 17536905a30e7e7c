// Is whoever waits for a port's next line told when there will be none?
using System.Diagnostics;
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Ports;

public sealed class LineReaderTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(2), Soon = TimeSpan.FromSeconds(30);

    /// <summary>A signal ends the port while its answer is waited for, and the thread that reads comes too late to see the end: the wait must not last as long as a case may, or the run is ended before it has kept anything.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wait_ends_with_the_reader_though_the_stream_ends_later_or_never(bool ends)
    {
        using HeldStream stream = new();
        LineReader reader = new(stream, maxLineBytes: 100);
        LineEvent? next = null;
        Thread waiting = new(() => next = reader.Next(Long)) { IsBackground = true };
        waiting.Start();
        Assert.True(SpinWait.SpinUntil(() => waiting.ThreadState.HasFlag(System.Threading.ThreadState.WaitSleepJoin), Soon));
        Thread disposing = new(reader.Dispose) { IsBackground = true };
        disposing.Start();
        Assert.True(SpinWait.SpinUntil(() => disposing.ThreadState.HasFlag(System.Threading.ThreadState.WaitSleepJoin), Soon));
        if (ends)
            stream.End();
        Stopwatch watch = Stopwatch.StartNew();
        Assert.True(waiting.Join(Soon), "Nobody told the one who waits.");
        Assert.IsType<LineEvent.End>(next);
        Assert.True(disposing.Join(Soon), $"The reader is not disposed of after {watch.Elapsed}.");
        Assert.IsType<LineEvent.End>(reader.Next(TimeSpan.Zero));
    }

    // Nothing can be read from it until it ends.
    private sealed class HeldStream : Stream
    {
        private readonly ManualResetEventSlim end = new();

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public void End() => end.Set();

        public override int Read(byte[] buffer, int offset, int count)
        {
            end.Wait();
            return 0;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            end.Set();
            base.Dispose(disposing);
        }
    }
}
