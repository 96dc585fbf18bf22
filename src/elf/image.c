/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"

/* More than this in one file is taken for damage. */
enum { MAX_PARTS = 4 << 20 };

#define BAD(...) err_new(ERR_FAILED, "bad-elf", __VA_ARGS__)

static bool inside(const struct image *image, uint64_t off, uint64_t size)
{
	return off <= image->size && size <= image->size - off;
}

static struct err *load_header(struct image *image)
{
	GElf_Ehdr eh;

	if (elf_kind(image->elf) != ELF_K_ELF || !gelf_getehdr(image->elf, &eh))
		return BAD("not an ELF file");
	image->arch = arch_find(eh.e_machine);
	if (!image->arch)
		return err_new(ERR_UNSUPPORTED, "unknown-architecture",
			       "ELF machine %u is not one of the ports", eh.e_machine);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64)
		return err_new(ERR_UNSUPPORTED, "32-bit", "a 32-bit ELF file");
	if ((eh.e_ident[EI_DATA] == ELFDATA2MSB) != image->arch->big_endian)
		return BAD("byte order does not fit the machine");
	image->type = eh.e_type;
	image->entry = eh.e_entry;
	return NULL;
}

static struct err *load_segments(struct image *image)
{
	size_t nr = 0;

	if (elf_getphdrnum(image->elf, &nr) || nr > MAX_PARTS)
		return BAD("program headers cannot be counted");
	image->segments = mem_alloc(nr * sizeof(*image->segments));
	for (size_t i = 0; i < nr; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return BAD("program header %zu is outside the file", i);
		if (ph.p_type == PT_LOAD &&
		    (!inside(image, ph.p_offset, ph.p_filesz) ||
		     ph.p_filesz > ph.p_memsz || ph.p_vaddr + ph.p_memsz < ph.p_vaddr))
			return BAD("segment %zu does not fit the file", i);
		image->segments[image->nr_segments++] = (struct segment){
			ph.p_type, ph.p_flags, ph.p_offset, ph.p_vaddr,
			ph.p_filesz, ph.p_memsz, ph.p_align };
	}
	return NULL;
}

static struct err *load_sections(struct image *image)
{
	size_t nr = 0, names = 0;

	if (elf_getshdrnum(image->elf, &nr) || nr > MAX_PARTS)
		return BAD("sections cannot be counted");
	if (!nr)
		return NULL;
	if (elf_getshdrstrndx(image->elf, &names))
		return BAD("sections have no names");
	image->sections = mem_alloc(nr * sizeof(*image->sections));
	image->nr_sections = nr;
	for (size_t i = 0; i < nr; i++) {
		Elf_Scn *scn = elf_getscn(image->elf, i);
		struct section *sec = &image->sections[i];
		GElf_Shdr sh;

		if (!scn || !gelf_getshdr(scn, &sh))
			return BAD("section header %zu is outside the file", i);
		*sec = (struct section){
			elf_strptr(image->elf, names, sh.sh_name), sh.sh_type,
			sh.sh_link, sh.sh_info, sh.sh_flags, sh.sh_addr,
			sh.sh_offset, sh.sh_size, sh.sh_addralign, sh.sh_entsize,
			NULL };
		if (!sec->name)
			sec->name = "";
		if (sh.sh_type == SHT_NOBITS || sh.sh_type == SHT_NULL)
			continue;
		if (!inside(image, sh.sh_offset, sh.sh_size))
			return BAD("section %zu (%s) is outside the file", i, sec->name);
		if (sh.sh_size)
			sec->data = image->data + sh.sh_offset;
	}
	return NULL;
}

static const struct section *section_of_type(const struct image *image, uint32_t type)
{
	for (size_t i = 0; i < image->nr_sections; i++)
		if (image->sections[i].type == type && image->sections[i].data)
			return &image->sections[i];
	return NULL;
}

/* A string of a string table, "" where it does not end inside it. */
static const char *string_at(const struct image *image, uint32_t table, uint64_t off)
{
	const struct section *sec;

	if (table >= image->nr_sections)
		return "";
	sec = &image->sections[table];
	if (!sec->data || off >= sec->size)
		return "";
	/* A table that ends in a 0, as it has to, ends every string. */
	if (sec->data[sec->size - 1] && !memchr(sec->data + off, 0, sec->size - off))
		return "";
	return (const char *)sec->data + off;
}

static struct err *load_symbols(struct image *image, uint32_t type, struct symtab *tab)
{
	const struct section *sec = section_of_type(image, type);
	const struct section *wide = section_of_type(image, SHT_SYMTAB_SHNDX);
	bool be = image->arch->big_endian;

	if (!sec)
		return NULL;
	tab->nr = sec->size / sizeof(Elf64_Sym);
	tab->symbols = mem_alloc(tab->nr * sizeof(*tab->symbols));
	for (size_t i = 0; i < tab->nr; i++) {
		const uint8_t *p = sec->data + i * sizeof(Elf64_Sym);
		struct symbol *sym = &tab->symbols[i];
		uint8_t info = p[4];

		sym->name = string_at(image, sec->link, bytes_get4(p, be));
		sym->type = ELF64_ST_TYPE(info);
		sym->bind = ELF64_ST_BIND(info);
		sym->other = p[5];
		sym->visibility = ELF64_ST_VISIBILITY(p[5]);
		sym->section = (uint32_t)bytes_get(p + 6, 2, be);
		sym->value = bytes_get8(p + 8, be);
		sym->size = bytes_get8(p + 16, be);
		if (sym->section == SHN_XINDEX && wide && wide->size / 4 > i)
			sym->section = (uint32_t)bytes_get(wide->data + 4 * i, 4, be);
		else if (sym->section < SHN_LORESERVE &&
			 sym->section >= image->nr_sections)
			return BAD("symbol %zu (%s) is in section %u of %zu", i,
				   sym->name, sym->section, image->nr_sections);
	}
	return NULL;
}

/* Walks a chain of Verdef or Verneed records for one version number. */
static const char *version_name(const struct image *image, uint32_t type, unsigned number)
{
	const struct section *sec = section_of_type(image, type);
	bool be = image->arch->big_endian, def = type == SHT_GNU_verdef;
	uint64_t off = 0;

	for (unsigned guard = 0; sec && guard < 65536; guard++) {
		uint64_t aux, next;
		unsigned nr;

		if (off + 20 > sec->size)
			return NULL;
		nr = (unsigned)bytes_get(sec->data + off + (def ? 6 : 2), 2, be);
		aux = off + bytes_get(sec->data + off + (def ? 12 : 8), 4, be);
		next = bytes_get(sec->data + off + (def ? 16 : 12), 4, be);
		if (def && bytes_get(sec->data + off + 4, 2, be) == number)
			return aux + 8 > sec->size ? NULL :
			       string_at(image, sec->link,
					 bytes_get(sec->data + aux, 4, be));
		for (unsigned i = 0; !def && i < nr && aux + 16 <= sec->size; i++) {
			if (bytes_get(sec->data + aux + 6, 2, be) == number)
				return string_at(image, sec->link,
						 bytes_get(sec->data + aux + 8, 4, be));
			aux += bytes_get(sec->data + aux + 12, 4, be);
		}
		if (!next)
			return NULL;
		off += next;
	}
	return NULL;
}

static void load_versions(struct image *image)
{
	const struct section *sec = section_of_type(image, SHT_GNU_versym);
	const char *names[2][256] = { { NULL } };
	bool known[2][256] = { { false } };

	for (size_t i = 0; sec && i < image->dynsym.nr && i < sec->size / 2; i++) {
		struct symbol *sym = &image->dynsym.symbols[i];
		unsigned v = (unsigned)bytes_get(sec->data + 2 * i, 2,
						 image->arch->big_endian);
		unsigned number = v & 0x7fff, undef = sym->section == SHN_UNDEF;
		uint32_t type = undef ? SHT_GNU_verneed : SHT_GNU_verdef;

		sym->version_hidden = v & 0x8000;
		if (number < 2 && !(undef && number))
			continue;
		if (number >= 256) {
			sym->version = version_name(image, type, number);
			continue;
		}
		if (!known[undef][number]) {
			names[undef][number] = version_name(image, type, number);
			known[undef][number] = true;
		}
		sym->version = names[undef][number];
	}
}

bool image_next_note(struct cursor *c, struct elf_note *note)
{
	if (cursor_left(c) < 12)
		return false;
	note->name_size = cursor_get(c, 4);
	note->size = cursor_get(c, 4);
	note->type = (uint32_t)cursor_get(c, 4);
	note->name = (const char *)cursor_take(c, (note->name_size + 3) & ~UINT64_C(3));
	note->desc = cursor_take(c, (note->size + 3) & ~UINT64_C(3));
	return !c->bad;
}

static void scan_notes(struct image *image, const uint8_t *data, size_t size)
{
	struct cursor c = cursor_make(data, size, image->arch->big_endian);
	struct elf_note note;

	while (image_next_note(&c, &note)) {
		if (note.type != NT_GNU_BUILD_ID || note.name_size != 4 ||
		    memcmp(note.name, "GNU", 4) || note.size > sizeof(image->build_id))
			continue;
		memcpy(image->build_id, note.desc, note.size);
		image->build_id_size = note.size;
		return;
	}
}

static void load_build_id(struct image *image)
{
	for (size_t i = 0; i < image->nr_segments && !image->build_id_size; i++) {
		const struct segment *seg = &image->segments[i];

		if (seg->type == PT_NOTE && inside(image, seg->off, seg->file_size))
			scan_notes(image, image->data + seg->off, seg->file_size);
	}
	for (size_t i = 0; i < image->nr_sections && !image->build_id_size; i++)
		if (image->sections[i].type == SHT_NOTE && image->sections[i].data)
			scan_notes(image, image->sections[i].data,
				   image->sections[i].size);
}

static struct err *load(struct image *image)
{
	struct err *err;

	elf_version(EV_CURRENT);
	/* elf_memory() does not write to the bytes when only reading is asked. */
	image->elf = elf_memory((char *)(uintptr_t)image->data, image->size);
	if (!image->elf)
		return BAD("%s", elf_errmsg(-1));
	if ((err = load_header(image)) || (err = load_segments(image)) ||
	    (err = load_sections(image)))
		return err;
	load_build_id(image);
	return NULL;
}

struct err *image_load_symbols(struct image *image)
{
	struct err *err;

	if (image->has_symbols)
		return NULL;
	if ((err = load_symbols(image, SHT_SYMTAB, &image->symtab)) ||
	    (err = load_symbols(image, SHT_DYNSYM, &image->dynsym)))
		return err;
	load_versions(image);
	image->has_symbols = true;
	return NULL;
}

static struct err *finish(struct image *image, bool symbols, struct image **result)
{
	struct err *err = load(image);

	if (!err && symbols)
		err = image_load_symbols(image);
	if (err)
		image_free(image);
	else
		*result = image;
	return err;
}

static struct err *open_fd(int fd, bool symbols, struct image **result)
{
	struct image *image;
	struct stat st;
	void *data;

	if (fstat(fd, &st))
		return err_sys(errno, "fstat");
	if (!S_ISREG(st.st_mode) || st.st_size < EI_NIDENT)
		return BAD("not an ELF file");
	/* Copy-on-write, so that libelf may convert in place on other hosts. */
	data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_sys(errno, "mmap");
	image = mem_alloc(sizeof(*image));
	image->data = image->mapped = data;
	image->size = (size_t)st.st_size;
	return finish(image, symbols, result);
}

static struct err *open_path(const char *path, bool symbols, struct image **result)
{
	/* A pipe, whose name may come from a core file, must not be waited for. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_sys(errno, "%s", path);
	return err_wrap(open_fd(fd, symbols, result), "%s", path);
}

struct err *image_open(const char *path, struct image **result)
{
	return open_path(path, true, result);
}

struct err *image_open_part(const char *path, struct image **result)
{
	return open_path(path, false, result);
}

struct err *image_from_bytes(void *data, size_t size, struct image **result)
{
	struct image *image = mem_alloc(sizeof(*image));

	image->data = image->owned = data;
	image->size = size;
	if (size < EI_NIDENT) {
		image_free(image);
		return BAD("not an ELF file");
	}
	return finish(image, true, result);
}

void image_free(struct image *image)
{
	if (!image)
		return;
	elf_end(image->elf);
	free(image->relocs);
	free(image->segments);
	free(image->sections);
	free(image->symtab.symbols);
	free(image->dynsym.symbols);
	free(image->owned);
	if (image->mapped)
		munmap(image->mapped, image->size);
	free(image);
}

void image_freep(struct image **image)
{
	image_free(*image);
}

const struct segment *image_segment(const struct image *image, uint64_t vaddr)
{
	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *seg = &image->segments[i];

		if (seg->type == PT_LOAD && vaddr - seg->vaddr < seg->mem_size &&
		    vaddr >= seg->vaddr)
			return seg;
	}
	return NULL;
}

const struct segment *image_find_segment(const struct image *image, uint32_t type)
{
	for (size_t i = 0; i < image->nr_segments; i++)
		if (image->segments[i].type == type)
			return &image->segments[i];
	return NULL;
}

const uint8_t *image_at(const struct image *image, uint64_t vaddr, size_t size)
{
	const struct segment *seg = image_segment(image, vaddr);
	uint64_t in = seg ? vaddr - seg->vaddr : 0;

	if (!seg || in > seg->file_size || size > seg->file_size - in)
		return NULL;
	return image->data + seg->off + in;
}

const struct section *image_find_section(const struct image *image, const char *name)
{
	for (size_t i = 0; i < image->nr_sections; i++)
		if (!strcmp(image->sections[i].name, name))
			return &image->sections[i];
	return NULL;
}

const struct section *image_section_at(const struct image *image, uint64_t vaddr)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *sec = &image->sections[i];

		if ((sec->flags & SHF_ALLOC) && !(sec->flags & SHF_TLS) &&
		    vaddr >= sec->vaddr && vaddr - sec->vaddr < sec->size)
			return sec;
	}
	return NULL;
}

static struct err *read_relocs(const struct image *image, const struct section *sec,
			       const struct symtab *tab, struct reloc **relocs,
			       size_t *nr)
{
	size_t more = sec->size / sizeof(Elf64_Rela);
	bool be = image->arch->big_endian;
	struct reloc *rel;

	*relocs = mem_resize(*relocs, (*nr + more) * sizeof(*rel));
	rel = *relocs + *nr;
	*nr += more;
	for (size_t i = 0; i < more; i++, rel++) {
		const uint8_t *p = sec->data + i * sizeof(Elf64_Rela);
		uint64_t info = bytes_get8(p + 8, be);

		rel->off = bytes_get8(p, be);
		rel->type = (uint32_t)ELF64_R_TYPE(info);
		rel->symbol = (uint32_t)ELF64_R_SYM(info);
		rel->addend = (int64_t)bytes_get8(p + 16, be);
		if (rel->symbol && rel->symbol >= tab->nr)
			return BAD("relocation %zu of %s names symbol %u of %zu", i,
				   sec->name, rel->symbol, tab->nr);
	}
	return NULL;
}

struct err *image_relocs_of(const struct image *image, uint32_t section,
			    struct reloc **relocs, size_t *nr)
{
	struct err *err = NULL;

	*relocs = NULL;
	*nr = 0;
	for (size_t i = 0; i < image->nr_sections && !err; i++) {
		const struct section *sec = &image->sections[i];

		if (sec->info != section || !sec->data)
			continue;
		if (sec->type == SHT_REL)
			err = BAD("%s: relocations without addends", sec->name);
		if (sec->type == SHT_RELA)
			err = read_relocs(image, sec, &image->symtab, relocs, nr);
	}
	for (size_t i = 0; i < *nr && !err; i++)
		if ((*relocs)[i].off >= image->sections[section].size)
			err = BAD("a relocation lies outside section %s",
				  image->sections[section].name);
	if (err) {
		free(*relocs);
		*relocs = NULL;
		*nr = 0;
	}
	return err;
}

static struct err *load_relocs(struct image *image)
{
	struct err *err = image_load_symbols(image);

	for (size_t i = 0; i < image->nr_sections && !err; i++) {
		const struct section *sec = &image->sections[i];

		if (sec->type == SHT_RELA && sec->data && (sec->flags & SHF_ALLOC))
			err = read_relocs(image, sec, &image->dynsym, &image->relocs,
					  &image->nr_relocs);
	}
	if (err) {
		free(image->relocs);
		image->relocs = NULL;
		image->nr_relocs = 0;
	}
	return err;
}

struct err *image_dynamic_relocs(const struct image *image, const struct reloc **relocs,
				 size_t *nr)
{
	struct err *err = NULL;

	/* Bringing what was left out changes nothing that was there. */
	if (!image->relocs)
		err = load_relocs((struct image *)(uintptr_t)image);
	*relocs = image->relocs;
	*nr = image->nr_relocs;
	return err;
}

const struct symbol *image_find_export(const struct image *image, const char *name,
				       const char *version)
{
	uint64_t value;

	/* Reading the symbols takes long, and hardly any image has the name. */
	if (!image->has_symbols && image_has_hash(image) &&
	    !image_find_hashed(image, name, &value))
		return NULL;
	/* Bringing what was left out changes nothing that was there. */
	err_free(image_load_symbols((struct image *)(uintptr_t)image));
	for (size_t i = 0; i < image->dynsym.nr; i++) {
		const struct symbol *sym = &image->dynsym.symbols[i];

		if (sym->section == SHN_UNDEF || sym->bind == STB_LOCAL ||
		    strcmp(sym->name, name))
			continue;
		if (version && sym->version ? strcmp(version, sym->version) :
					      sym->version_hidden)
			continue;
		return sym;
	}
	return NULL;
}

bool image_dynamic(const struct image *image, int64_t tag, uint64_t *value)
{
	const struct section *sec = section_of_type(image, SHT_DYNAMIC);
	bool be = image->arch->big_endian;

	for (size_t i = 0; sec && i < sec->size / sizeof(Elf64_Dyn); i++) {
		const uint8_t *entry = sec->data + i * sizeof(Elf64_Dyn);

		*value = bytes_get(entry + 8, 8, be);
		if ((int64_t)bytes_get(entry, 8, be) == tag)
			return true;
	}
	return false;
}

const char *image_soname(const struct image *image)
{
	const struct section *sec = section_of_type(image, SHT_DYNAMIC);
	uint64_t name;

	return image_dynamic(image, DT_SONAME, &name) ? string_at(image, sec->link, name) : NULL;
}

char *image_build_id_hex(const struct image *image)
{
	return bytes_to_hex(image->build_id, image->build_id_size);
}

bool image_has_build_id(const struct image *image, const void *id, size_t size)
{
	return size && image->build_id_size == size &&
	       !memcmp(image->build_id, id, size);
}
