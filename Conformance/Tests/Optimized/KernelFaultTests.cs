// What happens to a call, to the next one and to the threads where the kernel itself throws, on a thread of the plan or on the caller's?
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

[Collection("threads are counted")]
public sealed class KernelFaultTests
{
    private const int Threads = 4;

    // One kv head, which both kinds of head read: the backward pass has two phases.
    private static readonly S2Config Config = S2Config.Create(new() { Tokens = 900, Heads = 4, KvHeads = 1, HeadDim = 8, GroupSize = GroupSizeRule.Of(50), Mask = MaskPolicy.Split });

    public static TheoryData<string, bool> Places()
    {
        TheoryData<string, bool> places = [];
        foreach (string pass in new[] { "forward", "backward 0", "backward 1", "store" })
        {
            places.Add(pass, true);
            places.Add(pass, false);
        }

        return places;
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void A_kernel_that_throws_ends_its_call_and_no_later_one_is_wrong(string pass, bool onPlansThread)
    {
        int before = PoolThreads(threads => threads == 0);
        Faults faults = new();
        using (S2AttentionPlan plan = new(Config, new() { Threads = Threads }, width => new FaultyEngines(Engines.For(width), faults)))
        {
            Half[][] expected = Answers(plan);
            for (int round = 0; round < 6; round++)
            {
                faults.Plant(pass, onPlansThread);
                Assert.Equal(faults.Message, Assert.Throws<NotImplementedException>(() => Answers(plan)).Message);

                faults.Remove();
                Half[][] answers = Answers(plan);
                for (int i = 0; i < expected.Length; i++)
                    Assert.True(expected[i].AsSpan().SequenceEqual(answers[i]), $"round {round}: tensor {i} is wrong after a failed {pass}");
                Assert.Equal(before + Threads - 1, PoolThreads(threads => threads == before + Threads - 1));
            }
        }

        Assert.Equal(before, PoolThreads(threads => threads == before));
    }

    private static Half[][] Answers(S2AttentionPlan plan)
    {
        Half[] q = Noise(1, 4), k = Noise(2, 1), v = Noise(3, 1), dout = Noise(4, 4), o = new Half[q.Length], dq = new Half[q.Length], dk = new Half[k.Length], dv = new Half[k.Length];
        float[] lse = new float[q.Length / Config.HeadDim];
        plan.Forward<Half>(q, k, v, o, lse);
        plan.Backward<Half, Half>(q, k, v, o, lse, dout, dq, dk, dv);
        return [o, dq, dk, dv];
    }

    private static Half[] Noise(int seed, int heads)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, Config.Tokens * heads * Config.HeadDim).Select(_ => (Half)(random.NextSingle() - 0.5f))];
    }

    private static int PoolThreads(Func<int, bool> expected) => KernelLifetimeTests.Settled(expected);

    /// <summary>Where the kernel is to throw: in the first item of a pass that a thread of the wanted kind comes to. The other kind waits for that, so that it happens.</summary>
    private sealed class Faults
    {
        private volatile string pass = "";
        private bool onPlansThread;
        private int thrown;
        private TaskCompletionSource happened = new();

        public int Thrown => thrown;

        public string Message => $"planted in {pass}";

        public void Plant(string place, bool plansThread)
        {
            (onPlansThread, thrown, happened) = (plansThread, 0, new());
            pass = place;
        }

        public void Remove() => pass = "";

        public void Before(string place)
        {
            if (place != pass)
                return;
            bool isPlans = Thread.CurrentThread.Name?.StartsWith("S2Attention", StringComparison.Ordinal) ?? false;
            if (isPlans != onPlansThread)
                Assert.True(happened.Task.Wait(TimeSpan.FromSeconds(30)), "no thread of the wanted kind came");
            else if (Interlocked.Increment(ref thrown) == 1)
            {
                happened.SetResult();
                throw new NotImplementedException(Message);
            }
            else
                Interlocked.Decrement(ref thrown);
        }
    }

    private sealed class FaultyEngines(IEngines inner, Faults faults) : IEngines
    {
        public int TileRows => inner.TileRows;

        public int TileColumns => inner.TileColumns;

        public nint WorkspaceFloats(BlockSizes sizes) => inner.WorkspaceFloats(sizes);

        public nint DecodeFloats(int headDim, int rows) => inner.DecodeFloats(headDim, rows);

        public IEngine<float> Single => inner.Single;

        public IEngine<Half> Half { get; } = new FaultyEngine<Half>(inner.Half, faults);

        public IEngine<BFloat16> BFloat16 => inner.BFloat16;
    }

    private sealed class FaultyEngine<T>(IEngine<T> inner, Faults faults) : IEngine<T>
        where T : unmanaged
    {
        public void Forward(Geometry geometry, in Problem<T> problem, long item, long nextItem, ref KeyTile ahead, Workspace workspace)
        {
            faults.Before("forward");
            inner.Forward(geometry, problem, item, nextItem, ref ahead, workspace);
        }

        public void Backward(Geometry geometry, in Problem<T> problem, int phase, long item, Workspace workspace)
        {
            faults.Before($"backward {phase}");
            inner.Backward(geometry, problem, phase, item, workspace);
        }

        public void BackwardOfPrefix(Geometry geometry, in Problem<T> problem, long item, Workspace workspace) => inner.BackwardOfPrefix(geometry, problem, item, workspace);

        public void Decode(DecodeWork<T> work, long item, long nextItem, Workspace workspace) => inner.Decode(work, item, nextItem, workspace);

        public void Merge(DecodeWork<T> work, in Rows<T> output, in Rows<float> logSumExp) => inner.Merge(work, output, logSumExp);

        public void ClearKeyGradients(Geometry geometry, in Problem<T> problem, long item) => inner.ClearKeyGradients(geometry, problem, item);

        public void StoreKeyGradients(Geometry geometry, in Problem<T> problem, long item)
        {
            faults.Before("store");
            inner.StoreKeyGradients(geometry, problem, item);
        }
    }
}
