// S2-Attn in F# behind the port protocol: copy this folder, put your own implementation into `forward`, and run
//
//     dotnet build -c Release
//     s2attn check --port "dotnet bin/Release/net10.0/fsharp_port.dll"
//
// It uses nothing of this project: masks and softmax are written again from their definition. Numbers are doubles and are rounded once at the end.
module FSharpPort

open System
open System.Buffers.Binary
open System.IO
open System.Text.Json
open System.Text.Json.Nodes

// ---- The attention: replace this by yours. -----------------------------------------------------------------------------------------------

type Config =
    { Batch: int
      Tokens: int
      Heads: int
      KvHeads: int
      HeadDim: int
      GroupSize: int
      Shift: int
      Mask: string
      /// One flag for each QUERY head.
      Shifted: bool array
      Scale: float
      Dtype: string }

/// May query t see key u, in a head that shifts by `shift` (0 for a head that does not)?
let visible config shift t u =
    let ring = (config.Tokens + config.GroupSize - 1) / config.GroupSize * config.GroupSize // N, rounded up to whole groups
    let position token = (token - shift + ring) % ring // where a token stands after the roll by -shift
    let sameGroup = position t / config.GroupSize = position u / config.GroupSize
    let sameRun = (t >= shift) = (u >= shift) // false between a token that the roll wrapped and one that it did not

    match config.Mask with
    | "LocalCausal" -> sameGroup && position u <= position t
    | "Split" -> sameGroup && sameRun && u <= t
    | "PositionCausal" -> sameGroup && u <= t
    | "Bidirectional" -> sameGroup
    | "BidirectionalSplit" -> sameGroup && sameRun
    | other -> failwith $"unknown mask {other}"

/// o [B,N,H,D] and lse [B,N,H] from q [B,N,H,D], k and v [B,N,K,D], and which keys are real.
let forward config (q: float array) (k: float array) (v: float array) (isReal: int -> int -> bool) =
    let o = Array.zeroCreate<float> q.Length // a row that sees no key stays 0 ...
    let lse = Array.create (q.Length / config.HeadDim) -infinity // ... and has logsumexp -infinity

    for b in 0 .. config.Batch - 1 do
        for h in 0 .. config.Heads - 1 do
            let shift = if config.Shifted[h] then config.Shift else 0
            let kv = h / (config.Heads / config.KvHeads)

            for t in 0 .. config.Tokens - 1 do
                let row = (b * config.Tokens + t) * config.Heads + h

                // What is masked is never read, so it may hold NaN.
                let keys =
                    [| for u in 0 .. config.Tokens - 1 do
                           if isReal b u && visible config shift t u then
                               ((b * config.Tokens + u) * config.KvHeads + kv) * config.HeadDim |]

                if keys.Length > 0 then
                    let dot key =
                        Seq.sum (seq { for d in 0 .. config.HeadDim - 1 -> q[row * config.HeadDim + d] * k[key + d] })

                    let scores = keys |> Array.map (fun key -> config.Scale * dot key)
                    let top = scores |> Array.reduce (fun a b -> Math.Max(a, b)) // taken off first so that exp cannot overflow
                    let weights = scores |> Array.map (fun score -> exp (score - top))
                    let total = Array.sum weights
                    lse[row] <- top + log total

                    for d in 0 .. config.HeadDim - 1 do
                        o[row * config.HeadDim + d] <- Array.fold2 (fun sum weight key -> sum + weight / total * v[key + d]) 0.0 weights keys

    o, lse

// Claim what you have: what is left out here is not tested.
let ops = [ "forward" ]

let describe () =
    let strings (names: string list) = JsonArray([| for name in names -> JsonValue.Create name :> JsonNode |])

    JsonObject(
        dict
            [ "ok", JsonValue.Create true :> JsonNode
              "name", JsonValue.Create "fsharp-rows"
              "version", JsonValue.Create "1.0"
              "language", JsonValue.Create "F#"
              "capabilities",
              JsonObject(
                  dict
                      [ "ops", strings ops :> JsonNode
                        "dtypes", strings [ "f32"; "f64"; "f16" ]
                        "masks", strings [ "LocalCausal"; "Split"; "PositionCausal"; "Bidirectional"; "BidirectionalSplit" ]
                        "gqa", JsonValue.Create true
                        "padding", JsonValue.Create true
                        "oddGroup", JsonValue.Create true
                        "ragged", JsonValue.Create true
                        "maxTokens", JsonValue.Create 1024 ]
              ) ]
    )

// ---- .safetensors: 8 bytes of header length, a JSON header, the tensors. -----------------------------------------------------------------

let sizeOf dtype =
    match dtype with
    | "F64" -> 8
    | "F32" -> 4
    | "F16" -> 2
    | _ -> 1

let readTensors path =
    let file = File.ReadAllBytes path
    let start = 8 + int (BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan()))
    use header = JsonDocument.Parse(file.AsMemory(8, start - 8))

    Map
        [ for entry in header.RootElement.EnumerateObject() do
              if entry.Name <> "__metadata__" then
                  let dtype = entry.Value.GetProperty("dtype").GetString()
                  let offsets = entry.Value.GetProperty "data_offsets"
                  let first, last = start + offsets[0].GetInt32(), start + offsets[1].GetInt32()

                  let element at =
                      match dtype with
                      | "F64" -> BitConverter.ToDouble(file, at)
                      | "F32" -> float (BitConverter.ToSingle(file, at))
                      | "F16" -> float (BitConverter.ToHalf(file, at))
                      | _ -> float file[at]

                  entry.Name, [| for at in first .. sizeOf dtype .. last - 1 -> element at |] ]

let writeTensors (path: string) (tensors: (string * string * int list * float array) list) =
    let header = JsonObject()

    let addHeader offset (name: string, dtype: string, shape: int list, values: float array) =
        let next = offset + values.Length * sizeOf dtype
        let numbers (items: int list) = JsonArray([| for item in items -> JsonValue.Create item :> JsonNode |])
        header[name] <- JsonObject(dict [ "dtype", JsonValue.Create dtype :> JsonNode; "shape", numbers shape; "data_offsets", numbers [ offset; next ] ])
        next

    List.fold addHeader 0 tensors |> ignore
    let text = JsonSerializer.SerializeToUtf8Bytes header
    use writer = new BinaryWriter(File.Create path)
    writer.Write(uint64 text.Length)
    writer.Write text

    for _, dtype, _, values in tensors do
        for value in values do
            match dtype with
            | "F64" -> writer.Write value
            | "F32" -> writer.Write(float32 value)
            | _ -> writer.Write(Half.op_Explicit value: Half)

// ---- The protocol: one JSON object a line, in and out. Print nothing else on stdout; stderr is yours. ------------------------------------

let readConfig (json: JsonElement) =
    let integer (name: string) = json.GetProperty(name).GetInt32()
    let text (name: string) = json.GetProperty(name).GetString()
    let heads = integer "heads"
    let which = json.GetProperty "shiftedHeads"

    { Batch = integer "batch"
      Tokens = integer "tokens"
      Heads = heads
      KvHeads = integer "kvHeads"
      HeadDim = integer "headDim"
      GroupSize = integer "groupSize"
      Shift = integer "shift"
      Mask = text "mask"
      Shifted =
        if which.ValueKind = JsonValueKind.Array then
            [| for flag in which.EnumerateArray() -> flag.GetBoolean() |]
        else
            // For an odd number of heads the second half is the larger one.
            [| for h in 0 .. heads - 1 -> which.GetString() = "All" || (which.GetString() = "SecondHalf" && h >= heads / 2) |]
      Scale = json.GetProperty("scale").GetDouble()
      Dtype = text "dtype" }

let answer (request: JsonElement) =
    let text (name: string) = request.GetProperty(name).GetString()
    let op = text "op"

    if op = "describe" then
        describe ()
    elif not (List.contains op ops) then
        JsonObject(dict [ "ok", JsonValue.Create false :> JsonNode; "unsupported", JsonValue.Create $"op {op}" ])
    else
        let config = readConfig (request.GetProperty "config")
        let tensors = readTensors (text "inputs")

        let isReal b u =
            match Map.tryFind "valid" tensors with
            | Some valid -> valid[b * config.Tokens + u] <> 0.0
            | None -> true

        let o, lse = forward config tensors["q"] tensors["k"] tensors["v"] isReal
        let rows = [ config.Batch; config.Tokens; config.Heads ]
        let dtype = config.Dtype.ToUpperInvariant()
        writeTensors (text "outputs") [ "o", dtype, rows @ [ config.HeadDim ], o; "lse", (if dtype = "F64" then "F64" else "F32"), rows, lse ]
        JsonObject(dict [ "ok", JsonValue.Create true :> JsonNode ])

[<EntryPoint>]
let main _ =
    let rec loop () =
        match Console.In.ReadLine() with
        | null -> 0
        | line ->
            use document = JsonDocument.Parse line
            let request = document.RootElement

            if request.GetProperty("op").GetString() = "shutdown" then
                0
            else
                // What goes wrong is reported: the suite shows the message beside the case.
                let reply =
                    try
                        answer request
                    with error ->
                        JsonObject(dict [ "ok", JsonValue.Create false :> JsonNode; "error", JsonValue.Create $"{error.GetType().Name}: {error.Message}" ])

                reply["id"] <- JsonValue.Create(request.GetProperty("id").GetInt64())
                Console.Out.WriteLine(reply.ToJsonString())
                Console.Out.Flush()
                loop ()

    loop ()
