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
        passes.Run(0, work.Items, itemsOfClaim: 1, cancellation);
        engine.Merge(work, output, logSumExp);
    }

    /// <summary>One worker's share.</summary>
    public void Work(int pass, int worker, ref long count, ref long numbers)
    {
        for (long item = passes.Take(); item >= 0; item = passes.Take())
        {
            engine.Decode(work, item, resources.WorkspaceOf(worker));
            count++;
            numbers += item;
        }
    }
}
