// At which values are lemmas instantiated? At the quotients, products and triangles of the script itself.
namespace S2Attn.Conformance.Proofs;

/// <summary>Chooses instances of lemmas by the shape of what a script already holds.</summary>
public static class Instances
{
    /// <summary>The instances for a script that holds assumptions and conclusion.</summary>
    public static IReadOnlyList<LemmaInstance> For(SmtScript script, Help help)
    {
        ArgumentNullException.ThrowIfNull(script);
        ArgumentNullException.ThrowIfNull(help);
        List<LemmaInstance> instances = [.. help.Instances];
        if (help.Products)
        {
            foreach (LemmaInstance instance in help.Instances)
                script.Meet(instance.Prop);
            instances.AddRange(OfTriangles([.. script.QuotientsByDivisor().SelectMany(group => group).SelectMany(TriangleSide)]));
        }

        instances.AddRange(script.QuotientsByDivisor().SelectMany(OfQuotients));
        if (help.Products)
            instances.AddRange(OfProducts(script.Products));
        return instances;
    }

    // Two quotients by the same divisor, and a quotient and 0, are apart by 0, 1 or 2 divisors.
    private static IEnumerable<LemmaInstance> OfQuotients(IReadOnlyList<Term.Quotient> quotients)
    {
        Term divisor = quotients[0].B;
        if (divisor is Term.Constant)
            yield break;
        Term zero = 0;
        Term[] terms = [zero, .. quotients];
        foreach (Term a in terms)
            foreach (Term b in terms.Where(b => b != a))
                for (int distance = 0; distance <= 2; distance++)
                    yield return new(Lemmas.Multiples, [a, b, distance, divisor]);
    }

    private static IEnumerable<LemmaInstance> OfTriangles(IReadOnlyList<Term> sides)
    {
        foreach (Term a in sides)
        {
            yield return new(Lemmas.Halves, [a]);
            foreach (Term b in sides.Where(b => b != a))
                yield return new(Lemmas.TriangleSteps, [a, b]);
        }
    }

    private static IEnumerable<LemmaInstance> OfProducts(IReadOnlyList<Term.Operation> products)
    {
        foreach (Term.Operation a in products)
        {
            yield return new(Lemmas.Units, [a.A, a.B]);
            foreach (Term.Operation b in products.Where(b => b != a))
                for (int more = 0; more <= (a.B == b.B ? 2 : 0); more++)
                    yield return new(Lemmas.Products, [a.A, a.B, b.A, b.B, more]);
        }
    }

    // a (a + 1) / 2, as Costs writes it.
    private static IEnumerable<Term> TriangleSide(Term.Quotient quotient) =>
        quotient is { A: Term.Operation { Symbol: "*", B: Term.Operation { Symbol: "+", B: Term.Constant { Value: 1 } } next } product, B: Term.Constant { Value: 2 } }
            && ReferenceEquals(product.A, next.A)
            ? [product.A]
            : [];
}
