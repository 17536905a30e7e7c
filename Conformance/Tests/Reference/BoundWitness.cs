// What do the formulas of docs/error-bounds.md give? The page, written down a second time for one sequence, without a line of the library's bound.
using S2Attn.Conformance.Cases;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

/// <summary>The bounds of o, lse, dq, dk and dv by the numbered steps of docs/error-bounds.md, where nothing overflows. B = 1.</summary>
internal sealed class BoundWitness
{
    private readonly S2Config config;
    private readonly AttentionInput<double> input;
    private readonly Tensor<double> outputGradient, logSumExpGradient;
    private readonly RoundingModel m;
    private readonly Sum[] dq, dk, dv;

    /// <param name="item">The case, of one sequence.</param>
    /// <param name="model">The arithmetic.</param>
    /// <param name="logSumExpGradient">dlse [1,N,H]; zero for none.</param>
    public BoundWitness(AttentionCase item, RoundingModel model, Tensor<double> logSumExpGradient)
    {
        (config, input, outputGradient, this.logSumExpGradient, m) = (item.Config, item.BuildInput(), item.BuildOutputGradient(), logSumExpGradient, model);
        int n = config.Tokens, d = config.HeadDim;
        Output = new double[n * config.Heads * d];
        LogSumExp = new double[n * config.Heads];
        dq = New(n * config.Heads * d);
        dk = New(n * config.KvHeads * d);
        dv = New(n * config.KvHeads * d);
        for (int t = 0; t < n; t++)
            for (int h = 0; h < config.Heads; h++)
                Row(t, h);

        static Sum[] New(int length) => [.. Enumerable.Range(0, length).Select(_ => new Sum())];
    }

    public double[] Output { get; }

    public double[] LogSumExp { get; }

    public double[] QueryGradient => [.. dq.Select(sum => Bound(sum, Math.Abs(config.Scale), 1))];

    public double[] KeyGradient => [.. dk.Select(sum => Bound(sum, Math.Abs(config.Scale), config.Heads / config.KvHeads))];

    public double[] ValueGradient => [.. dv.Select(sum => Bound(sum, 1, config.Heads / config.KvHeads))];

    private double Us => m.Storage.Unit;

    private double Cover => m.Unit > 1e-12 ? 1 + 1e-6 : 2 + 1e-6;

    private static double Gamma(double n, double u) => n * u / (1 - n * u);

    private double Gamma(double n) => Gamma(n, m.Unit);

    private double Chain(int n) => m.SumBlock == 0 || n <= m.SumBlock ? n : m.SumBlock + Math.Ceiling((double)n / m.SumBlock);

    private void Row(int t, int h)
    {
        int d = config.HeadDim, kv = h / (config.Heads / config.KvHeads);
        int[] seen = [.. Enumerable.Range(0, config.Tokens).Where(u => Visibility.Visible(config, h, t, u))], keys = [.. seen.Where(u => input.Valid[0, u])];
        int n = keys.Length;
        if (n == 0)
            return;
        double[] Of(Tensor<double> tensor, int token, int head) => [.. tensor.Row(0, token, head)];
        double[] q = Of(input.Query, t, h), g = Of(outputGradient, t, h);
        double[][] k = [.. keys.Select(u => Of(input.Key, u, kv))], v = [.. keys.Select(u => Of(input.Value, u, kv))];
        double[] s = [.. k.Select(key => config.Scale * Dot(q, key))];
        double max = s.Max(), total = s.Sum(score => Math.Exp(score - max)), lse = max + Math.Log(total);
        double[] p = [.. s.Select(score => Math.Exp(score - max) / total)];
        double[] o = [.. Enumerable.Range(0, d).Select(e => Enumerable.Range(0, n).Sum(j => p[j] * v[j][e]))];

        // Steps 1 and 2.
        double r = m.KeyBlock == 0 ? 0 : Math.Min(n, seen.Length / m.KeyBlock + (config.Prefix > 0 ? 3 : 2)) - 1;
        double[] sigma = [.. k.Select(key =>
            (Gamma(d + m.ScoreRoundings) + Gamma(m.StoredScores, Us)) * Math.Abs(config.Scale) * AbsDot(q, key)
            + m.Underflow * (key.Sum(Math.Abs) + d * Math.Max(1, Math.Abs(config.Scale)) + 2) + m.StoredScores * m.Storage.Underflow)];
        double[] delta = [.. sigma.Select((error, j) => error - (r + 1) * Math.Log(1 - m.ExpError) + Gamma(1) * (max - s[j] + error + sigma.Max()))];

        // Steps 3 to 5.
        double sums = Gamma(Chain(n) + r + 1), onValues = m.StoresWeights ? sums + Us * (1 + sums) : sums;
        double lost = (r + 1) * (m.ExpUnderflow + m.Underflow) + (m.StoresWeights ? m.Storage.Underflow : 0);
        double least = Enumerable.Range(0, n).Sum(j => p[j] * Math.Exp(-delta[j])), kept = least - n * lost;
        double[] outputBound = new double[d];
        for (int e = 0; e < d; e++)
        {
            double tiny = (n + r + 2) * m.Underflow;
            double mean = Enumerable.Range(0, n).Sum(j =>
                (p[j] * (Math.Exp(delta[j]) - 1) + lost) * Math.Abs(v[j][e] - o[e]) + onValues * p[j] * Math.Exp(delta[j]) * Math.Abs(v[j][e]));
            double among = v.Max(value => Math.Abs(value[e] - o[e])) + onValues * v.Max(value => Math.Abs(value[e])) + tiny;
            double first = Math.Min((mean + tiny) / kept, among);
            double divided = first + (Math.Abs(o[e]) + first) * Gamma(Chain(n) + r + 3) / (1 - sums) + m.Underflow;
            outputBound[e] = Cover * (divided + (Math.Abs(o[e]) + divided) * Us + m.Storage.Underflow);
            Output[(t * config.Heads + h) * d + e] = outputBound[e];
        }

        // Step 6.
        double grown = Enumerable.Range(0, n).Sum(j => p[j] * (Math.Exp(delta[j]) - 1)) + n * (r + 1) * (m.ExpUnderflow + m.Underflow);
        double weights = Math.Max(Math.Log(1 + grown), -Math.Log(least)) - Math.Log(1 - sums);
        double lseBound = Cover * (weights + m.LogRoundings * m.Unit * (Math.Abs(lse) + Math.Log(n) + 1 + weights) + m.Underflow);
        LogSumExp[t * config.Heads + h] = lseBound;

        // Steps 8 to 11.
        double stored = m.StoresWeights ? Us : 0, storedTiny = m.StoresWeights ? m.Storage.Underflow : 0;
        double[] weightError = [.. p.Select((weight, j) =>
        {
            double log = delta[j] + lseBound + Gamma(m.LogRoundings) * Math.Abs(lse);
            log += Gamma(2) * (log - Math.Log(weight));
            return weight * (Math.Exp(log) - 1) + m.ExpUnderflow + m.Underflow + storedTiny;
        })];
        double[] dp = [.. v.Select(value => Dot(g, value))], size = [.. v.Select(value => AbsDot(g, value))];
        double mean0 = Enumerable.Range(0, n).Sum(j => p[j] * dp[j]);
        double ofOutput = d * m.Underflow + Enumerable.Range(0, d).Sum(e => Math.Abs(g[e]) * (outputBound[e] + Gamma(d) * (Math.Abs(o[e]) + outputBound[e])));
        double[] dpError = [.. size.Select(sum => (Gamma(d) + stored) * sum + d * m.Underflow)];
        double ofWeights = Enumerable.Range(0, n).Sum(j =>
            weightError[j] * Math.Abs(dp[j]) + (p[j] + weightError[j]) * (dpError[j] + Gamma(Chain(n) + 2) * (size[j] + dpError[j]))) + n * m.Underflow;
        double deltaError = m.Recomputes ? ofOutput : Math.Max(ofOutput, ofWeights);
        if (logSumExpGradient[0, t, h] is not 0 and var dlse)
        {
            deltaError += Gamma(1) * (Math.Abs(mean0) + deltaError + Math.Abs(dlse)) + m.Underflow;
            mean0 -= dlse;
        }

        for (int j = 0; j < n; j++)
        {
            double difference = Math.Abs(dp[j] - mean0);
            double differenceError = deltaError + Gamma(d + 2) * (size[j] + Math.Abs(mean0) + deltaError) + stored * size[j] + storedTiny + (d + 2) * m.Underflow;
            double most = (p[j] + weightError[j]) * (difference + differenceError);
            double error = weightError[j] * difference + (p[j] + weightError[j]) * differenceError + (Gamma(2) + 2 * stored) * most + m.Underflow + storedTiny;
            for (int e = 0; e < d; e++)
            {
                int query = (t * config.Heads + h) * d + e, key = (keys[j] * config.KvHeads + kv) * d + e;
                dq[query].Add(p[j] * (dp[j] - mean0), error, k[j][e]);
                dk[key].Add(p[j] * (dp[j] - mean0), error, q[e]);
                dv[key].Add(p[j], weightError[j] + stored * (p[j] + weightError[j]), g[e]);
            }
        }
    }

    private double Bound(Sum sum, double scale, int sharing)
    {
        if (sum.Terms == 0)
            return 0;
        double error = sum.Errors + (Gamma(Chain(sum.Terms) + 4) + (m.StoresWeights ? Gamma(sharing, Us) : 0)) * sum.Sizes;
        double before = scale * (error + m.Underflow * (sum.Operands + 3 * sum.Terms)) + m.Underflow * (sum.Operands + 1);
        return Cover * (before + (Math.Abs(scale * sum.Exact) + before) * Us + m.Storage.Underflow);
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double AbsDot(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x * y)).Sum();

    // sum c x: its terms, and what step 11 needs to know of them.
    private sealed class Sum
    {
        public int Terms { get; private set; }

        public double Exact { get; private set; }

        public double Errors { get; private set; }

        public double Sizes { get; private set; }

        public double Operands { get; private set; }

        public void Add(double coefficient, double error, double x)
        {
            Terms++;
            Exact += coefficient * x;
            Errors += error * Math.Abs(x);
            Sizes += (Math.Abs(coefficient) + error) * Math.Abs(x);
            Operands += Math.Abs(x);
        }
    }
}
