// How is a decode step spread over workers?
namespace S2Attn.Optimized.Kernels;

/// <summary>Runs decode steps of one cache.</summary>
internal sealed class DecodeCalls<T> : IPassWork
    where T : unmanaged
{
    private readonly DecodeWork<T> work;
    private readonly IEngine<T> engine;
    private readonly PlanResources resources;
    private readonly Passes passes;

    public DecodeCalls(DecodeWork<T> work, IEngine<T> engine, IWorkScheduler scheduler, PlanResources resources)
    {
        this.work = work;
        this.engine = engine;
        this.resources = resources;
        passes = new(scheduler, resources.Workers, 1, this);
    }

    /// <summary>Attends the last <paramref name="tokens"/> queries of some sequences to their caches.</summary>
    public void Run(in Rows<T> query, in Rows<T> output, in Rows<float> logSumExp, int firstSequence, int sequences, int tokens, CancellationToken cancellation)
    {
        work.Begin(query, firstSequence, sequences, tokens);
        passes.Run(0, work.Items, work.ItemsOfClaim(resources.Workers), cancellation);
        engine.Merge(work, output, logSumExp);
    }

    /// <summary>One worker's share.</summary>
    public void Work(int pass, int worker, ref long count, ref long numbers)
    {
        for (long claim = passes.Take(); claim >= 0; claim = passes.Take())
        {
            (long first, long end) = passes.ItemsOf(claim);
            for (long item = first; item < end; item++)
            {
                engine.Decode(work, item, item + 1 < end ? item + 1 : -1, resources.WorkspaceOf(worker));
                count++;
                numbers += item;
            }
        }
    }
}
