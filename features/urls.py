from django.urls import path

from features import (
    desk_views,
    feature_views,
    file_views,
    label_views,
    machine_views,
    map_views,
    scatter_views,
    search_views,
    views,
)

app_name = "features"
_feature = "experiments/<int:experiment_id>/features/<int:index>/"
_map = "experiments/<int:experiment_id>/map/"
_desk = "experiments/<int:experiment_id>/labelling/"
_files = "experiments/<int:experiment_id>/labels/"
_label = f"{_feature}labels/<int:label_id>/"
urlpatterns = [
    path("features/", views.newest, name="newest"),
    path("experiments/<int:experiment_id>/features/", views.gallery, name="gallery"),
    path("experiments/<int:experiment_id>/features/scatter/", scatter_views.scatter, name="scatter"),
    path("experiments/<int:experiment_id>/features/jump/", views.jump, name="jump"),
    path(_desk, desk_views.desk, name="labelling"),
    path(f"{_desk}undo/", desk_views.undo, name="labelling-undo"),
    path(f"{_desk}<int:index>/", desk_views.save, name="labelling-save"),
    path(f"{_desk}<int:index>/skip/", desk_views.skip, name="labelling-skip"),
    path(f"{_desk}<int:index>/labels/<int:label_id>/review/", desk_views.review, name="labelling-review"),
    path(_files, file_views.files, name="files"),
    path(f"{_files}machine/", machine_views.machine_labelling, name="machine-labels"),
    path(f"{_files}machine/<int:labelling_id>/cancel/", machine_views.cancel, name="cancel-machine-labels"),
    path(f"{_files}machine/<int:labelling_id>/go-on/", machine_views.go_on, name="go-on-machine-labels"),
    path(f"{_files}export/", file_views.export, name="export"),
    path(f"{_files}imports/", file_views.start_import, name="start-import"),
    path(f"{_files}imports/<int:import_id>/", file_views.label_import, name="label-import"),
    path(f"{_files}imports/<int:import_id>/apply/", file_views.apply_import, name="apply-import"),
    path(f"{_files}imports/<int:import_id>/discard/", file_views.discard_import, name="discard-import"),
    path(_map, map_views.page, name="map"),
    path(f"{_map}features/<int:index>/", map_views.card, name="map-card"),
    path("experiments/<int:experiment_id>/search/", search_views.search, name="search"),
    path("experiments/<int:experiment_id>/search/export/", search_views.export, name="search-export"),
    path(_feature, feature_views.detail, name="detail"),
    path(f"{_feature}examples/", feature_views.examples, name="examples"),
    path(f"{_feature}strata/", feature_views.strata, name="strata"),
    path(f"{_feature}near-misses/", feature_views.near_misses, name="near-misses"),
    path(f"{_feature}co-firing/", feature_views.co_firing, name="co-firing"),
    path(f"{_feature}window/", feature_views.window, name="window"),
    path(f"{_feature}document/", feature_views.document, name="document"),
    path(f"{_feature}evidence/", feature_views.evidence, name="evidence"),
    path(f"{_feature}labels/", label_views.add_label, name="add-label"),
    path(f"{_label}edit/", label_views.edit_label, name="edit-label"),
    path(f"{_label}withdraw/", label_views.withdraw_label, name="withdraw-label"),
    path(f"{_label}restore/", label_views.restore_label, name="restore-label"),
    path(f"{_label}choose/", label_views.choose_label, name="choose-label"),
    path(f"{_label}test/", label_views.test_label, name="test-label"),
    path(f"{_label}history/", label_views.label_history, name="label-history"),
]
