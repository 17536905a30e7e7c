// How are formulas written as an SMT-LIB 2 script that people can read?
using System.Globalization;
using System.Text;

namespace S2Attn.Conformance.Proofs;

/// <summary>
/// Collects assertions and writes them with each common subexpression once. A division a / b becomes a fresh q with the axiom
/// b &gt; 0 implies q b &lt;= a &lt; q b + b, which names the one integer that floor(a / b) is; divisions written alike share their q.
/// Thus no solver has to divide by a variable.
/// </summary>
public sealed class SmtScript
{
    private const string Division = "div", Product = "*", AnyProduct = "times";

    private readonly record struct Node(string Head, int[] Children, bool IsInteger);

    private readonly List<Node> nodes = [];
    private readonly List<int> uses = [];
    private readonly Dictionary<string, int> known = [];
    private readonly Dictionary<object, int> visited = new(ReferenceEqualityComparer.Instance);
    private readonly List<(string Comment, int Prop)> assertions = [];
    private readonly List<(Term.Quotient Term, int Divisor)> quotients = [];
    private readonly List<Term.Operation> products = [];
    private readonly List<Term> terms = [];

    /// <summary>Adds an assertion under a comment; a constant true adds nothing.</summary>
    public void Assert(string comment, Prop prop)
    {
        if (prop is Prop.Constant { Value: true })
            return;
        int id = Visit(prop);
        uses[id]++;
        assertions.Add((comment, id));
    }

    /// <summary>The divisions met so far, grouped by divisor: each division once.</summary>
    public IEnumerable<IReadOnlyList<Term.Quotient>> QuotientsByDivisor() =>
        quotients.GroupBy(quotient => quotient.Divisor).Select(group => group.Select(quotient => quotient.Term).ToList());

    /// <summary>The products of two expressions, neither a constant, met so far: each product once.</summary>
    public IReadOnlyList<Term.Operation> Products => products;

    /// <summary>Every integer expression met so far, each once.</summary>
    public IReadOnlyList<Term> Terms => terms;

    /// <summary>Meets an expression without asserting anything, so that divisions, products and terms list its parts.</summary>
    public void Meet(Term term) => Visit(term);

    /// <summary>Meets the parts of a proposition without asserting it.</summary>
    public void Meet(Prop prop) => Visit(prop);

    /// <summary>The script: declarations, definitions, division axioms, assertions and (check-sat), then (get-value) where a model is wanted.</summary>
    /// <param name="header">Comment lines for the top.</param>
    /// <param name="logic">The SMT-LIB logic.</param>
    /// <param name="model">Variables whose values are asked for; none where the answer should be unsat.</param>
    /// <param name="anyProduct">Whether a product of two expressions is that of some function of two integers, of which nothing is known but the lemmas: what holds for every one holds for *.</param>
    public string Write(IEnumerable<string> header, string logic, IReadOnlyList<Term.Variable> model, bool anyProduct = false)
    {
        StringBuilder text = new();
        foreach (string line in header)
            text.Append("; ").Append(line).Append('\n');
        if (model.Count > 0)
            text.Append("(set-option :produce-models true)\n");
        text.Append(CultureInfo.InvariantCulture, $"(set-logic {logic})\n");
        if (anyProduct)
            text.Append(CultureInfo.InvariantCulture, $"(declare-fun {AnyProduct} (Int Int) Int) ; a product of two expressions\n");
        string[] names = new string[nodes.Count];
        int integers = 0, props = 0, divisions = 0;
        for (int id = 0; id < nodes.Count; id++)
        {
            Node node = nodes[id];
            string head = node.Head == Product && node.Children.All(IsUnknown) ? ProductOf(node.Children[1]) : node.Head;
            string written = node.Children.Length == 0 ? node.Head : $"({head} {string.Join(' ', node.Children.Select(child => names[child]))})";
            if (node.Head == Division)
            {
                names[id] = Invariant($"q{++divisions}");
                (string a, string b, string q) = (names[node.Children[0]], names[node.Children[1]], names[id]);
                string times = ProductOf(node.Children[1]), axiom = $"(and (<= ({times} {q} {b}) {a}) (< {a} (+ ({times} {q} {b}) {b})))";
                string guarded = b[0] is >= '1' and <= '9' ? axiom : $"(=> (> {b} 0) {axiom})";
                text.Append(CultureInfo.InvariantCulture, $"(declare-const {q} Int) ; floor of {a} / {b}\n(assert {guarded})\n");
            }
            else if (node.Children.Length == 0)
            {
                names[id] = written;
                if (node.IsInteger && char.IsLetter(written[0]))
                    text.Append(CultureInfo.InvariantCulture, $"(declare-const {written} Int)\n");
            }
            else if (uses[id] > 1)
            {
                names[id] = node.IsInteger ? Invariant($"i{++integers}") : Invariant($"p{++props}");
                text.Append(CultureInfo.InvariantCulture, $"(define-fun {names[id]} () {(node.IsInteger ? "Int" : "Bool")} {written})\n");
            }
            else
            {
                names[id] = written;
            }
        }

        string above = "";
        foreach ((string comment, int prop) in assertions)
        {
            text.Append(comment == above ? "" : $"; {comment}\n").Append(CultureInfo.InvariantCulture, $"(assert {names[prop]})\n");
            above = comment;
        }

        text.Append("(check-sat)\n");
        if (model.Count > 0)
            text.Append(CultureInfo.InvariantCulture, $"(get-value ({string.Join(' ', model.Select(variable => variable.Name))}))\n");
        return text.ToString();

        string ProductOf(int factor) => anyProduct && IsUnknown(factor) ? AnyProduct : Product;
    }

    private bool IsUnknown(int id) => nodes[id].Children.Length > 0 || char.IsLetter(nodes[id].Head[0]);

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private int Visit(Term term) => Visited(term, () =>
    {
        int before = nodes.Count;
        int id = term switch
        {
            Term.Variable variable => Intern(variable.Name, [], isInteger: true),
            Term.Constant { Value: < 0 } constant => Intern(Invariant($"(- {-(Int128)constant.Value})"), [], isInteger: true),
            Term.Constant constant => Intern(Invariant($"{constant.Value}"), [], isInteger: true),
            Term.Operation operation => Intern(operation.Symbol, [Visit(operation.A), Visit(operation.B)], isInteger: true),
            Term.Choice choice => Intern("ite", [Visit(choice.Condition), Visit(choice.A), Visit(choice.B)], isInteger: true),
            Term.Quotient quotient => Intern(Division, [Visit(quotient.A), Visit(quotient.B)], isInteger: true),
            _ => throw new InvalidOperationException($"Unknown term {term.GetType().Name}."),
        };
        if (id >= before)
            Note(term, id);
        return id;
    });

    // Parts are interned before the whole, so that an id at or past the count before them is new only if it is the last.
    private void Note(Term term, int id)
    {
        if (id != nodes.Count - 1)
            return;
        terms.Add(term);
        if (term is Term.Operation { Symbol: Product, A: not Term.Constant, B: not Term.Constant } product)
            products.Add(product);
        if (term is not Term.Quotient quotient)
            return;
        int[] children = nodes[id].Children;
        quotients.Add((quotient, children[1]));
        // The axiom names the dividend again, and the divisor twice.
        uses[children[0]]++;
        uses[children[1]] += 2;
    }

    private int Visit(Prop prop) => Visited(prop, () => prop switch
    {
        Prop.Constant constant => Intern(constant.Value ? "true" : "false", [], isInteger: false),
        Prop.Comparison comparison => Intern(comparison.Symbol, [Visit(comparison.A), Visit(comparison.B)], isInteger: false),
        Prop.Connective connective => Intern(connective.Symbol, [Visit(connective.A), Visit(connective.B)], isInteger: false),
        Prop.Negation negation => Intern("not", [Visit(negation.A)], isInteger: false),
        _ => throw new InvalidOperationException($"Unknown proposition {prop.GetType().Name}."),
    });

    private int Visited(object node, Func<int> visit)
    {
        if (visited.TryGetValue(node, out int id))
            return id;
        id = visit();
        visited.Add(node, id);
        return id;
    }

    private int Intern(string head, int[] children, bool isInteger)
    {
        string key = $"{head} {string.Join(' ', children)}";
        if (known.TryGetValue(key, out int id))
            return id;
        id = nodes.Count;
        known.Add(key, id);
        nodes.Add(new(head, children, isInteger));
        uses.Add(0);
        foreach (int child in children)
            uses[child]++;
        return id;
    }
}
