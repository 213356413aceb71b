# hearth: one Makefile. `make help` lists the targets.
#
# CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR V=1 SAN=... are obeyed. Nothing is built for the build machine only:
# instruction sets are chosen at run time, and each ISA's flags belong to its own files (ISAFLAGS below).
# A new source or test file needs no line here: everything is found by wildcard.

CC      ?= cc
AR      ?= ar
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= python3
V       ?= 0
SAN     ?=

empty :=
space := $(empty) $(empty)
comma := ,
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
Q := $(if $(filter 1,$(V)),,@)
VERSION := $(shell sed -n 's/^\#define HEARTH_VERSION "\(.*\)"/\1/p' include/hearth.h)

# ---- flags ---------------------------------------------------------------------------------------------------------
# No contraction, no fast-math: docs/NUMERICS.md fixes the order and rounding of every operation. The same objects make
# the programs, the static and the shared library: position independent, and nothing exported but include/hearth.h.
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
BASE    := -std=c11 -D_GNU_SOURCE -Isrc -Iinclude -I$(BUILD)/gen -ffp-contract=off -fno-math-errno -pthread -MMD -MP \
           -fPIC -fvisibility=hidden
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
ALL_CFLAGS = $(BASE) $(WARN) $(SANFLAGS) $(CPPFLAGS) $(CFLAGS) $(ISAFLAGS)

$(BUILD)/src/kernels/x86/avx2_%.o:   ISAFLAGS := -mavx2 -mfma -mf16c
$(BUILD)/src/kernels/x86/avx512_%.o: ISAFLAGS := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(BUILD)/src/kernels/x86/amx_%.o: ISAFLAGS := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(BUILD)/src/kernels/x86/avxvnni_%.o: ISAFLAGS := -mavx2 -mfma -mf16c -mavxvnni
$(BUILD)/src/kernels/x86/avx512vl_%.o: ISAFLAGS := -mavx2 -mfma -mf16c -mavx512f -mavx512vl -mavx512vnni
$(BUILD)/src/kernels/arm/dotprod_%.o: ISAFLAGS := -march=armv8.2-a+dotprod
$(BUILD)/src/kernels/arm/i8mm_%.o:   ISAFLAGS := -march=armv8.2-a+dotprod+i8mm
# the portable kernels rely on the vectoriser, which -O2 keeps on a short leash
$(BUILD)/src/kernels/portable%.o:    ISAFLAGS := -O3
$(BUILD)/src/quant/lanes.o:         ISAFLAGS := -O3

# ---- what there is -------------------------------------------------------------------------------------------------
ARCH     := $(shell $(CC) -dumpmachine | cut -d- -f1)
ISA_DIRS := $(if $(filter x86_64,$(ARCH)),x86) $(if $(filter aarch64,$(ARCH)),arm)
SOURCES  := $(sort $(wildcard src/*/*.c) $(foreach d,$(ISA_DIRS),$(wildcard src/kernels/$(d)/*.c)))
SERVE    := $(filter-out src/cli/serve_main.c,$(wildcard src/cli/serve_*.c)) # what hearth-serve alone is made of
MAINS    := $(wildcard src/cli/*_main.c) src/cli/main.c $(SERVE)
CLI      := $(filter-out $(MAINS),$(filter src/cli/%,$(SOURCES)))
MODULES  := $(filter-out src/cli/%,$(SOURCES))
# the public library: base … engine, without what needs libyaml, libcrypto or libseccomp, and without processes
LIB_DIRS := base plat gguf quant kernels token chat grammar model engine
LIB_NOT  := src/base/yaml.c src/base/digest.c src/gguf/write.c src/gguf/resume.c src/plat/sandbox% src/plat/proc.c src/plat/command.c src/plat/msg.c
LIB_SRC  := $(filter-out $(LIB_NOT),$(foreach d,$(LIB_DIRS),$(filter src/$(d)/%,$(SOURCES))))
HELPERS  := $(patsubst src/cli/%_main.c,%,$(wildcard src/cli/*_main.c))
PROGRAMS := $(BUILD)/hearth $(HELPERS:%=$(BUILD)/hearth-%)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

# Each program names the libraries it may link. hearth and hearth-worker link no network library: a reference to one
# from their code is a link error.
LIBS_core   := -ljansson -lutf8proc -lm
LIBS_facts  := -lyaml -lcrypto -lsqlite3 -lpcre2-8
LIBS_hearth := $(LIBS_facts) -ledit -lseccomp $(LIBS_core)
LIBS_worker := -lseccomp $(LIBS_core)
LIBS_serve  := -lmicrohttpd $(LIBS_facts) -lseccomp $(LIBS_core)
LIBS_egress := -lcurl -lcrypto -lseccomp $(LIBS_core)
LIBS_pull   := -lcurl -lzip -lcrypto -lseccomp $(LIBS_core)
LIBS_test   := -lcmocka -lmicrohttpd -lcurl -lzip $(LIBS_hearth)

.PHONY: all lib help setup demo test test-arm check unit bench quantise fuzz torture soak agree install clean
all: $(PROGRAMS) lib
lib: $(BUILD)/libhearth.a $(if $(SAN),,$(BUILD)/libhearth.so)

help:
	@sed -n 's/^#: *//p' Makefile

# ---- building ------------------------------------------------------------------------------------------------------
$(BUILD)/%.o: %.c $(BUILD)/gen/flags
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CC    $<")
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Other flags, other objects. Written while make reads this: with .SECONDARY a missing file is no reason to build.
FLAGS_NOW := $(strip $(CC) $(BASE) $(WARN) $(SANFLAGS) $(CPPFLAGS) $(CFLAGS))
ifneq ($(strip $(file <$(BUILD)/gen/flags)),$(FLAGS_NOW))
$(shell mkdir -p $(BUILD)/gen)
$(file >$(BUILD)/gen/flags,$(FLAGS_NOW))
endif

# What the sources are, as one number: hearth and its helpers only talk to helpers of the same build. Likewise.
BUILD_ID := $(shell cat Makefile src/*/*.[ch] $(foreach d,$(ISA_DIRS),src/kernels/$(d)/*.[ch]) 2>/dev/null | cksum)
BUILD_LINE := \#define HEARTH_BUILD_ID "$(VERSION)-$(firstword $(BUILD_ID))"
ifneq ($(strip $(file <$(BUILD)/gen/build_number.h)),$(BUILD_LINE))
$(shell mkdir -p $(BUILD)/gen)
$(file >$(BUILD)/gen/build_number.h,$(BUILD_LINE))
endif
$(BUILD)/src/plat/build_id.o: $(BUILD)/gen/build_number.h

# Files that programs carry become numbers between commas: src/DIR/NAME -> gen/DIR/NAME.inc, included by the C file
# that owns them. Signed, since they are char.
EMBEDDED := $(wildcard src/web/*.css src/web/*.js src/fit/*.yaml)
$(BUILD)/gen/%.inc: src/%
	@mkdir -p $(@D)
	$(Q)od -An -v -td1 $< | sed 's/\(-\{0,1\}[0-9]\{1,\}\)/\1,/g' >$@
$(BUILD)/src/web/web.o $(BUILD)/src/fit/catalogue.o: $(EMBEDDED:src/%=$(BUILD)/gen/%.inc)

# One object in which only hearth_* is global: a program's own gguf_open or fail meets nothing of the same name.
$(BUILD)/hearth.o: $(call obj,$(LIB_SRC)) Makefile
	@$(if $(Q),echo "  LD    $@")
	$(Q)$(CC) -r -nostdlib -o $@ $(filter %.o,$^) && $(OBJCOPY) --wildcard --keep-global-symbol='hearth_*' $@
$(BUILD)/libhearth.a: $(BUILD)/hearth.o
# While the version is 0.x every minor version is an ABI of its own.
SONAME := libhearth.so.$(subst $(space),.,$(wordlist 1,2,$(subst ., ,$(VERSION))))
$(BUILD)/libhearth.so: $(BUILD)/hearth.o src/engine/hearth.map
	@$(if $(Q),echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -pthread -shared -Wl,-soname,$(SONAME) \
	    -Wl,--version-script=src/engine/hearth.map $(if $(SAN),,-Wl,-z,defs) -o $@ $< $(LIBS_core)
$(BUILD)/libmodules.a: $(call obj,$(MODULES))
$(BUILD)/lib%.a:
	@$(if $(Q),echo "  AR    $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

link = @$(if $(Q),echo "  LINK  $@";) $(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)

$(BUILD)/hearth: $(call obj,src/cli/main.c $(CLI)) $(BUILD)/libmodules.a
	$(link) $(LIBS_hearth)
$(BUILD)/hearth-serve: $(call obj,$(SERVE) src/cli/budget.c)
$(BUILD)/hearth-%: $(BUILD)/src/cli/%_main.o $(call obj,src/cli/options.c src/cli/terminal.c) $(BUILD)/libmodules.a
	$(link) $(LIBS_$*)

# ---- tests: tests/MODULE/test_*.c (cmocka), tests/*/test_*.{sh,py}; one process each, registered nowhere -----------
TEST_C   := $(sort $(wildcard tests/*/test_*.c))
TEST_BIN := $(TEST_C:%.c=$(BUILD)/%)
TEST_LIB := $(call obj,$(wildcard tests/lib/*.c))
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIB) $(BUILD)/libmodules.a
	$(link) $(LIBS_test)
$(BUILD)/tests/%.o: BASE += -Itests
$(BUILD)/tests/cli/test_progress: $(call obj,src/cli/progress.c src/cli/terminal.c)
.SECONDARY:

#: make            build everything into build/
#: make demo       set up, build, fetch a small model, fit, measure, route, serve: the whole job in one go
demo: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/demo $(BUILD)

#: make setup      install the Debian packages that are missing (as root or with sudo; otherwise prints the line)
setup:
	$(Q)tools/setup

#: make test       set up, build, make check, then every test; SAN=address,undefined or SAN=thread picks a sanitizer
test: setup
	$(Q)$(MAKE) --no-print-directory check unit

unit: all $(TEST_BIN)
	$(Q)tools/run-tests $(BUILD)

#: make test-arm   the kernels for AArch64: cross-built, their tests run under qemu with and without dot products
test-arm:
	$(Q)tools/setup arm
	$(Q)tools/test-arm $(BUILD)/arm64

#: make check      the rules that are scripts: layers, doors, headers, sizes, instruction sets, symbols
check: all
	$(Q)tools/check $(BUILD)

#: make bench      speed of kernels and of whole models
bench: all
	$(Q)tools/bench $(BUILD)

#: make quantise   our quantised files against llama-quantize's, into docs/QUANTISATION.md; PEERS=DIR of bench/quantise/tools
quantise: all
	$(Q)tools/venv
	$(Q)$(or $(HEARTH_VENV),build/venv)/bin/python bench/quantise/run --build $(BUILD) \
	    --peers $(or $(PEERS),$(error PEERS=DIR: where bench/quantise/tools DIR built them))

#: make fuzz       libFuzzer over every tests/fuzz/fuzz_*.c, FUZZ_SECONDS each (default 600)
fuzz:
	$(Q)tools/fuzz

#: make soak       16 clients for half an hour: no stuck request, no lost or crossed stream, no growth (MINUTES=30)
soak: all
	$(Q)HEARTH_BUILD=$(BUILD) tools/soak --minutes $(or $(MINUTES),30)

#: make torture    allocations fail, pulls are killed, memory is at its limits; no private byte leaves, seeded leaks are found
torture: all $(TEST_BIN)
	$(Q)tools/torture $(BUILD)
	$(Q)HEARTH_BUILD=$(BUILD) $(PYTHON) tests/pull/test_interrupted.py --kills 1000
	$(Q)HEARTH_BUILD=$(BUILD) $(PYTHON) tests/cli/test_memory.py --full
	$(Q)HEARTH_BUILD=$(BUILD) $(PYTHON) tests/cli/test_cgroup.py --full
	$(Q)HEARTH_BUILD=$(BUILD) tools/canary --leak all --requests 20000
	$(Q)HEARTH_BUILD=$(BUILD) tools/canary --requests 100000 --kills 1000 --disks 1000

#: make agree      build the peers, record their reference logits in tests/golden
agree: all
	$(Q)tools/agree/agree $(BUILD)

#: make install    PREFIX and DESTDIR are obeyed
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/hearth $(DESTDIR)$(PREFIX)/include \
	    $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/share/hearth
	install -m 755 $(BUILD)/hearth $(DESTDIR)$(PREFIX)/bin/
	for h in $(HELPERS); do install -m 755 $(BUILD)/hearth-$$h $(DESTDIR)$(PREFIX)/libexec/hearth/ || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' packaging/hearth.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/hearth.service
	install -m 644 packaging/hearth.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/user
	sed 's|/usr/local/|$(PREFIX)/|' packaging/hearth-reassess.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/user/hearth-reassess.service
	install -m 644 packaging/hearth-reassess.timer $(DESTDIR)$(PREFIX)/lib/systemd/user/
	install -m 644 include/hearth.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libhearth.a $(DESTDIR)$(PREFIX)/lib/
	$(if $(SAN),,install -m 755 $(BUILD)/libhearth.so $(DESTDIR)$(PREFIX)/lib/libhearth.so.$(VERSION))
	ln -sf libhearth.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libhearth.so
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: hearth' \
	    'Description: small language models on this machine' 'Version: $(VERSION)' 'Cflags: -I$${includedir}' \
	    'Libs: -L$${libdir} -lhearth' 'Libs.private: $(LIBS_core) -pthread' \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/hearth.pc
	cp -R tasks $(DESTDIR)$(PREFIX)/share/hearth/

#: make clean      remove build/
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
