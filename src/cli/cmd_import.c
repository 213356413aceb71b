/* cmd_import.c: `hearth import FOLDER OUT.gguf`: models of other programs' formats. */
#include <stdio.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "import/import.h"

static const usage page = {
    "hearth import [OPTION]... FOLDER|FILE OUT.gguf",
    "Makes a GGUF file of a model as Hugging Face keeps it: a folder with config.json, its tokenizer and its weights.\n"
    "  decoders: Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3, Phi 3; weights in model.safetensors, or in the files\n"
    "      that model.safetensors.index.json lists; tokenizer.json, or tokenizer.model\n"
    "  encoders: the BERT family (sentence encoders, token classifiers, cross-encoders); weights in\n"
    "      model.safetensors, or in an ONNX file; tokenizer.json, or vocab.txt\n"
    "FILE: the weights file itself, beside which the others lie. Values are kept exactly unless --type asks for\n"
    "another type; what the folder asks for and the file could not say is an error that names it.\n"
    "\n"
    "examples:\n"
    "  hearth import Llama-3.2-1B-Instruct llama.gguf\n"
    "  hearth import --type f32 all-MiniLM-L6-v2 minilm.gguf\n",
};

int cmd_import(int argc, char **argv)
{
    import_options o = { 0 };
    const option options[] = {
        { "type", 0, OPTION_TEXT, &o.type, "TYPE", "of matrices: f32, f16, bf16 or q8_0 (default: as stored)" },
        { "name", 0, OPTION_TEXT, &o.name, "NAME", "what the model calls itself (default: the folder's name)" },
    };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 2)
        return usage_error("import", "a FOLDER (or a weights FILE) and OUT.gguf are needed");
    error err = { 0 };
    import_report r;
    char bytes[24];
    load_offline();
    if (import_model(argv[1], argv[2], &o, &r, &err))
        return report("import", &err);
    printf("%s: %s, %s, %u layers of %u, %.1fM parameters, %s", argv[2], r.arch, r.type, r.n_layers, r.n_embd,
           (double)r.n_params / 1e6, str_human_bytes(bytes, r.bytes));
    if (r.n_classes > 1)
        printf(", %u classes\n", r.n_classes);
    else if (r.pooling)
        printf(", %s pooling\n", r.pooling);
    else
        printf(", context %u\n", r.n_context);
    return EXIT_OK;
}
