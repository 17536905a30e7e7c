/// Is Spec pleasant from F#? Validation by pattern matching, index maps by partial application, theorems by pipes.
module S2Attn.FSharp.Walkthrough

open System
open S2Attn.Reference
open S2Attn.Spec
open S2Attn.Spec.Algebra

/// A valid configuration, or what is wrong with the request, as a Result.
let configure request =
    match S2Config.TryCreate request with
    | :? ConfigResult.Valid as valid -> Ok valid.Config
    | :? ConfigResult.Invalid as invalid -> Error [ for error in invalid.Errors -> error.Field, error.Rule ]
    | other -> failwith $"A result is valid or invalid, not {other}."

/// N tokens in groups of G, two heads, the second one shifted.
let request tokens groupSize mask =
    S2Request(Tokens = tokens, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of groupSize, Mask = mask)

/// The size first, the token last: position tokens shift is a function of the token.
let position (tokens: int) (shift: int) (token: int) =
    IndexMaps.Position<Int, Bool>(int64 tokens, int64 shift, int64 token).ToIndex()

/// The keys that query t of a head sees.
let visibleKeys (config: S2Config) head t =
    [ 0 .. config.Tokens - 1 ]
    |> List.filter (fun u -> Visibility.Visible(config, head, t, u))

/// The pairs (t, u) with u after t: what a causal model must never have.
let leaks config head =
    [ 0 .. (config: S2Config).Tokens - 1 ]
    |> List.collect (fun t -> visibleKeys config head t |> List.filter (fun u -> u > t) |> List.map (fun u -> t, u))

/// Which false claims have a counterexample with at most this many tokens, and which one?
let counterexamples maxTokens =
    Theorems.False()
    |> Seq.choose (fun claim ->
        claim.SizesUpTo maxTokens
        |> Seq.tryPick (fun struct (n, g, s) ->
            match claim.TryRefute(n, g, s) with
            | true, witness -> Some(claim.Name, string witness)
            | false, _ -> None))
    |> Map.ofSeq

/// o of a single head whose scores are all equal: each row is the mean of the values that it sees.
let meansOfVisible (config: S2Config) =
    let perHead heads (element: int -> float) = Tensor<float>.Build(ReadOnlySpan [| 1; config.Tokens; heads; 1 |], element)
    let zeros heads = perHead heads (fun _ -> 0.0)
    let indices = perHead config.KvHeads (fun i -> float (i / config.KvHeads))
    let output = Attention.Forward(config, AttentionInput(zeros config.Heads, zeros config.KvHeads, indices))
    [ for t in 0 .. config.Tokens - 1 -> output.Output[0, t, config.Heads - 1, 0] ]
