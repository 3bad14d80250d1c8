# make [all]       the library: libthrum.a, libthrum.so and thrum.pc
# make test        every test
# make check       every test, and the style guide (.ci/run commit: with sanitizers
#                  and mutants, too)
# make style       the style guide alone
# make cover       every test, and which lines none of them has run
# make fuzz        random programs against a model, for SECONDS (20)
# make models      the models, with TIMES (10) as many executions, of new seeds
#                  (SEED=7: those that 7 stands for)
# make soak        all features at once, for SECONDS (20): does anything pile up?
# make bench       numbers; MODE=short is quicker, MODE=check only checks, and
#                  B=fib_forkjoin runs that one
# make examples    the example programs
# make demo        the demonstration, on the directory DIR (/usr)
# make setup       install what all of these need; test, check, bench and demo
#                  do so by themselves
# make install     under PREFIX (/usr/local), staged in DESTDIR; make uninstall
# make clean       forget every variant
#
# Variants lie side by side in build/, so changing one rebuilds no other:
#   CC=clang  CC="ccache gcc"          another compiler
#   DEBUG=1                            -O0, debug assertions, invariant walkers
#   SAN=thread  SAN=address,undefined  a sanitizer
#   TSAN_NOSYNC=1                      with SAN=thread: a switch orders nothing
#   CROSS=aarch64-linux-gnu            cross build; tests run under qemu
#   COVER=1                            counts the lines that run
# CFLAGS, CPPFLAGS and LDFLAGS are the caller's, as a package's build has them; LD,
# AR and OBJCOPY are those of CC, if he gives none.
# Also: V=1 shows commands and test output; ONLY=deque builds and runs the tests
# with that in their name, ONLY="unit/ api/" those with one of the two;
# TIMEOUT=60 is the seconds one of them may take, JOBS=2 run at a time.

VERSION := 0.1.0
SONAME  := libthrum.so.0

PREFIX  ?= $(or $(prefix),/usr/local)
LIBDIR  ?= $(PREFIX)/lib
DIR     ?= /usr
MODE    ?= full

ifeq ($(origin CC),default)
CC      := $(if $(CROSS),$(CROSS)-gcc,gcc)
endif
ifeq ($(origin LD),default)
LD       = $(shell $(CC) -print-prog-name=ld)
endif
ifeq ($(origin AR),default)
AR       = $(shell $(CC) -print-prog-name=ar)
endif
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)

comma   := ,
hash    := \#
space   := $(comma:,=) $(comma:,=)
VARIANT := $(subst $(space),-,$(strip $(notdir $(CC))))$(if $(DEBUG),-debug)
VARIANT := $(VARIANT)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
VARIANT := $(VARIANT)$(if $(TSAN_NOSYNC),-nosync)$(if $(COVER),-cover)
OUT     := build/$(VARIANT)
Q       := $(if $(V),,@)

# --- flags ------------------------------------------------------------------

CFLAGS  ?= $(if $(DEBUG)$(COVER),-O0 -g,$(if $(SAN),-O1 -g1,-O2 -g))
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
           -Wmissing-prototypes -Wswitch-enum -Wvla -Werror
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
           -fno-omit-frame-pointer)
COUNT   := $(if $(COVER),--coverage -fprofile-update=atomic)
DYING   := $(if $(COVER),$(OUT)/tests/cover/dying.c.o)

# A cross build finds the other machine's libraries in a folder of its own,
# which .ci/setup fills.
ROOT    := $(if $(CROSS),build/$(CROSS))
ROOTINC := $(if $(ROOT),-isystem $(ROOT)/usr/include \
           -isystem $(ROOT)/usr/include/$(CROSS))
ROOTLIB := $(if $(ROOT),-L$(ROOT)/usr/lib/$(CROSS) \
           -Wl$(comma)-rpath-link$(comma)$(ROOT)/usr/lib/$(CROSS))
RUN     := $(if $(CROSS),qemu-$(firstword $(subst -, ,$(CROSS))) \
           -L /usr/$(CROSS) -E LD_LIBRARY_PATH=$(ROOT)/usr/lib/$(CROSS))

# Not optimised at link time (-fno-lto), though packages may ask for that: ld -r
# joins machine code only, and a thread-local's address must not be kept over a
# switch that the compiler sees through.
# One set of objects serves both libraries. A worker's thread-local is read on
# every wake; initial-exec makes that one instruction in the shared one too.
COMMON  := -std=gnu11 -D_GNU_SOURCE -pthread -Iinclude $(ROOTINC) $(WARN) \
           -fPIC -fvisibility=hidden -ftls-model=initial-exec -MMD -MP \
           $(if $(DEBUG),-DTHRUM_DEBUG=1)
LINK    := -pthread $(ROOTLIB) -Wl,--as-needed $(LDFLAGS) $(SANITIZE) $(COUNT) \
           $(if $(DYING),-Wl$(comma)--wrap=abort$(comma)--wrap=_exit$(comma)--wrap=raise)

# Only the library and its white-box tests see src/. With TSAN_NOSYNC nothing
# orders but what the library says does, so its own accesses must be invisible.
# A model test's atomics are the explorer's, which no sanitizer understands; its
# plain accesses are shown to the explorer by the calls that the compiler makes
# for ThreadSanitizer, whose run time is not linked.
NOSYNC  := -DTHRUM_TSAN_NOSYNC=1 -DTHRUM_TSAN_LINKED=1
MODELED := -Isrc -Itests/model/lib -DTHRUM_MODEL -fsanitize=thread \
           -Dmemcpy=__tsan_memcpy -Dmemset=__tsan_memset

$(OUT)/src/%.o:         KIND := -Isrc $(COUNT) \
                        $(if $(TSAN_NOSYNC),$(NOSYNC),$(SANITIZE))
$(OUT)/tests/%.o:       KIND := -Isrc $(SANITIZE)
$(OUT)/tests/model/%.o: KIND := $(MODELED)
$(OUT)/tests/model/lib/%.o: KIND := -Isrc -Itests/model/lib -DTHRUM_MODEL
$(OUT)/tests/api/%.o $(OUT)/bench/%.o $(OUT)/examples/%.o: KIND := $(SANITIZE)

# Where a hot loop happens to begin makes a fifth of a difference.
$(OUT)/bench/%.o: CFLAGS += -falign-functions=64

# Compiling these takes longer than running them faster would save.
$(OUT)/tests/model/model_%.o $(OUT)/model/%.o: CFLAGS += $(if $(DEBUG),,-O1)

# --- what there is to build: no lists, only folders -------------------------

WHITE_DIRS := $(if $(TSAN_NOSYNC),,tests/unit tests/stress tests/fault)
BLACK_DIRS := tests/api tests/fuzz bench examples
MODEL_DIR  := $(if $(SAN)$(CROSS)$(COVER),,tests/model)

# A program is a file x.c, or a folder x of files: then it is x/x. What lies in
# a folder lib, and the file that is named like its folder (bench/bench.c), is
# no program but linked into each one there.
shared    = $(wildcard $(1)/$(notdir $(1)).c $(1)/lib/*.c)
files     = $(filter-out $(call shared,$(1)),$(sort $(wildcard $(1)/*.c)))
folders   = $(filter-out $(1)/lib,\
              $(patsubst %/,%,$(sort $(dir $(wildcard $(1)/*/*.c)))))
programs  = $(foreach d,$(1),$(patsubst %.c,$(OUT)/%,$(call files,$(d))) \
              $(foreach f,$(call folders,$(d)),$(OUT)/$(f)/$(notdir $(f))))
kind      = $(firstword $(foreach d,$(WHITE_DIRS) $(BLACK_DIRS) $(MODEL_DIR),\
              $(if $(filter $(d)/%,$(1)),$(d))))
alone     = $(filter $(call kind,$(1))/,$(dir $(1)))
sources   = $(sort $(if $(alone),$(1).c,$(wildcard $(dir $(1))*.c)) \
              $(call shared,$(call kind,$(1))))
objects   = $(patsubst %,$(OUT)/%.o,$(call sources,$(1)))

OBJS     := $(patsubst %,$(OUT)/%.o,$(sort $(wildcard src/*/*.c src/*/*.S)))
LIB      := $(OUT)/libthrum.a
LIBS     := $(LIB) $(OUT)/libthrum.so $(OUT)/thrum.pc
WHITE    := $(call programs,$(WHITE_DIRS))
BLACK    := $(call programs,$(BLACK_DIRS))
MODEL    := $(call programs,$(MODEL_DIR))
BENCH    := $(filter $(OUT)/bench/%,$(BLACK))
EXAMPLES := $(filter $(OUT)/examples/%,$(BLACK))
TESTS    := $(filter $(OUT)/tests/unit/%,$(WHITE)) $(MODEL) \
            $(filter $(OUT)/tests/api/%,$(BLACK)) \
            $(filter $(OUT)/tests/fault/%,$(WHITE)) \
            $(filter $(OUT)/tests/fuzz/%,$(BLACK)) \
            $(filter $(OUT)/tests/stress/%,$(WHITE)) $(EXAMPLES)
SCRIPTS  := $(if $(COVER),,$(sort $(wildcard tests/api/*.sh tests/fault/*.sh)))
STYLE    := $(sort $(wildcard tests/style/*.sh))

.PHONY: all test check style cover fuzz models soak bench examples demo install uninstall clean help \
        setup $(OUT)/thrum.pc
.DELETE_ON_ERROR:
.SECONDEXPANSION:
MAKEFLAGS += --no-builtin-rules
export CC CROSS DEBUG JOBS OUT PC RUN SAN TIMEOUT TSAN_NOSYNC V

all: $(LIBS)

# These goals first install what is missing; the others use what is there.
NEEDS := $(if $(filter test check demo bench,$(MAKECMDGOALS)),setup)
setup:
	@sh .ci/setup $(if $(filter demo bench,$(MAKECMDGOALS)),build,test) $(CROSS)

$(OUT)/%.o: % Makefile | $(NEEDS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) $(KIND) $(CPPFLAGS) $(CFLAGS) -fno-lto -c -o $@ $<

# --- the library ------------------------------------------------------------

# Inside, names are short; the world sees only what is THRUM_API.
$(OUT)/thrum.o: $(OBJS)
	$(Q)$(LD) -r -o $@ $^
	$(Q)$(OBJCOPY) --localize-hidden $@

$(LIB): $(OUT)/thrum.o
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# It stays where it was loaded, whatever dlclose says: its signal handlers do, too.
$(OUT)/libthrum.so: $(OUT)/thrum.o
	$(Q)$(CC) $(LINK) -shared -Wl,-soname,$(SONAME) -Wl,-z,nodelete \
	    $(if $(SAN),,-Wl$(comma)-z$(comma)defs$(comma)--fatal-warnings) \
	    -o $@ $^
	$(Q)ln -sf $(@F) $(OUT)/$(SONAME)

define PC
prefix=$(PREFIX)
includedir=$${prefix}/include
libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))

Name: thrum
Description: Structured concurrency for C on all cores
Version: $(VERSION)
Cflags: -I$${includedir} -pthread
Libs: -L$${libdir} -lthrum
Libs.private: -pthread
endef

$(OUT)/thrum.pc:
	@mkdir -p $(@D)
	@printf '%s\n' "$$PC" >$@

# --- programs ---------------------------------------------------------------

# A source may name more libraries: a line that is only "/* link: -lcrypto */", or
# "/* link if uv.h: -luv */" where it can do without that header.
libs_of   = $(if $(filter tests/%,$(1)),-lcmocka) $(shell \
              sed -n 's|^/\* link: \(.*\) \*/$$|\1|p' $(call sources,$(1)); \
              sed -n 's|^/\* link if \(.*\): \(.*\) \*/$$|\1 \2|p' \
              $(call sources,$(1)) | while read -r header libs; do \
              echo "$(hash)include <$$header>" | $(CC) $(ROOTINC) -E - \
              >/dev/null 2>&1 && echo "$$libs"; done)

$(WHITE) $(BLACK) $(MODEL) $(OUT)/libthrum.so: $(DYING)

# White box: objects, so that a test can reach what the archive hides.
$(WHITE): $(OUT)/%: $$(call objects,$$*) $(OBJS)
	$(Q)$(CC) $(LINK) -o $@ $^ $(call libs_of,$*)

# Black box: what a user gets.
$(BLACK): $(OUT)/%: $$(call objects,$$*) $(LIB)
	$(Q)$(CC) $(LINK) -o $@ $^ $(call libs_of,$*)

# A model test includes the sources it explores; its threads are stacks of ours.
$(MODEL): $(OUT)/%: $$(call objects,$$*) $(filter $(OUT)/src/os/ctx%,$(OBJS))
	$(Q)$(CC) $(LINK) -o $@ $^

# Or it is given all of them, built for the explorer, with what they write in a
# section of its own, so that it can be put back between executions.
EXPLORED := $(patsubst %,$(OUT)/model/%.o,$(sort \
              $(wildcard $(patsubst %,src/%/*.c,base parts sched task await sync) \
              src/io/call.c src/io/fd.c src/io/outside.c)))
$(OUT)/tests/model/model_runtime/model_runtime: $(EXPLORED)
$(OUT)/model/%.o: % Makefile | $(NEEDS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) $(MODELED) -Dmalloc=model_malloc -Dcalloc=model_calloc \
	    -Dfree=model_free -Daligned_alloc=model_aligned_alloc $(CFLAGS) -c -o $@ $<
	$(Q)$(OBJCOPY) --set-section-flags .bss=alloc,load,contents,data \
	    $(patsubst %,--rename-section %=model_state,.bss .data .data.rel \
	    .data.rel.local) $@

examples: $(EXAMPLES)
bench: $(if $(B),$(foreach b,$(B),$(filter %/$(b),$(BENCH))),$(BENCH))
	$(Q)sh bench/run.sh $(or $(MODE),full) $^

demo: $(LIBS) $(EXAMPLES) $(BENCH)
	$(Q)OUT=$(OUT) bash examples/demo.sh $(DIR)

# --- tests ------------------------------------------------------------------

chosen = $(if $(ONLY),$(foreach t,$(1),\
           $(if $(strip $(foreach o,$(ONLY),$(findstring $(o),$(t)))),$(t))),$(1))

# The longest first, so that none is left alone in the end.
test: $(call chosen,$(TESTS)) $(LIBS)
	$(Q)sh tests/run.sh $(call chosen,$(SCRIPTS) $(TESTS))
style: $(LIBS)
	$(Q)sh tests/run.sh $(call chosen,$(STYLE))
check: $(call chosen,$(TESTS)) $(LIBS)
	$(Q)sh tests/run.sh $(call chosen,$(STYLE) $(SCRIPTS) $(TESTS))

cover:
	$(Q)find $(OUT)-cover -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) --no-print-directory test COVER=1
	$(Q)sh tests/cover/cover.sh $(OUT)-cover

# --- fuzzing ----------------------------------------------------------------

# With the library's own code, as all of it is to be covered. What it finds is kept
# in build/fuzz, beside the inputs it has learnt. make fuzz_scopes runs that one.
SECONDS ?= 20
FUZZ    := $(notdir $(call folders,tests/fuzz))
.PHONY: $(FUZZ)
fuzz: $(FUZZ)
FUZZ_CC := clang $(filter-out -MMD -MP,$(COMMON)) -Isrc $(CFLAGS)
FUZZ_OBJ := $(patsubst %,build/fuzz/%.o,$(wildcard src/*/*.[cS]))
$(FUZZ_OBJ): build/fuzz/%.o: % $(wildcard src/*/*.h include/*.h include/*/*.h)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link,address -c -o $@ $<
$(FUZZ): $(FUZZ_OBJ)
	@mkdir -p build/fuzz/$@.corpus
	$(Q)$(FUZZ_CC) -pthread -fsanitize=fuzzer,address -o build/fuzz/$@ $^ \
	    $(wildcard tests/fuzz/$@/*.c)
	$(Q)build/fuzz/$@ -max_total_time=$$(($(SECONDS) / $(words $(FUZZ)))) \
	    -max_len=256 -len_control=10 \
	    -artifact_prefix=build/fuzz/$@- build/fuzz/$@.corpus tests/fuzz/$@/corpus

# Two seeds have no execution in common but those that are enumerated.
TIMES   ?= 10
models: $(call chosen,$(MODEL))
	$(Q)seed=$(or $(SEED),$$(date +%s)); echo "THRUM_SEED=$$seed"; \
	    THRUM_MODEL_TIMES=$(TIMES) THRUM_SEED=$$seed TIMEOUT=86400 \
	    sh tests/run.sh $^

soak: $(OUT)/tests/stress/soak/soak
	$(Q)THRUM_STRESS_S=$(SECONDS) $(RUN) $<

# --- installing -------------------------------------------------------------

# DESTDIR may have spaces.
TO_INC  := "$(DESTDIR)$(PREFIX)/include"
TO_LIB  := "$(DESTDIR)$(LIBDIR)"
install: $(LIBS)
	install -d $(TO_INC)/thrum $(TO_LIB)/pkgconfig
	install -m 644 include/thrum.h $(TO_INC)
	install -m 644 include/thrum/*.h $(TO_INC)/thrum
	install -m 644 $(LIB) $(TO_LIB)
	install -m 644 $(OUT)/thrum.pc $(TO_LIB)/pkgconfig
	install -m 755 $(OUT)/libthrum.so $(TO_LIB)/libthrum.so.$(VERSION)
	ln -sf libthrum.so.$(VERSION) $(TO_LIB)/$(SONAME)
	ln -sf $(SONAME) $(TO_LIB)/libthrum.so
	$(if $(DESTDIR),,-ldconfig)

uninstall:
	rm -rf $(TO_INC)/thrum $(TO_INC)/thrum.h
	rm -f $(TO_LIB)/libthrum.* $(TO_LIB)/pkgconfig/thrum.pc

clean:
	rm -rf build

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
